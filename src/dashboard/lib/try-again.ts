/** Tries a request again while its failures may pass. */
import { ApiError } from "./problem.ts";

/**
 * With the pauses below, a request is given up after half a minute to a minute of pauses between
 * its tries.
 */
const TRIES = 8;
const PAUSE_MS = 1_000;
const PAUSE_MAX_MS = 15_000;

/**
 * Try until it succeeds, is refused, or has failed `TRIES` times. `onRetry` is told true before each
 * pause, and false when a try has succeeded.
 */
export async function tryAgain<T>(
  what: () => Promise<T>,
  signal: AbortSignal,
  onRetry: (retrying: boolean) => void,
): Promise<T> {
  for (let tries = 1, wait = PAUSE_MS; ; tries++, wait = Math.min(PAUSE_MAX_MS, wait * 2)) {
    signal.throwIfAborted();
    try {
      const answer = await what();
      onRetry(false);
      return answer;
    } catch (thrown) {
      if (!mayPass(thrown) || tries === TRIES) throw thrown;
      onRetry(true);
      await pause(wait * (0.5 + Math.random() / 2), signal);
    }
  }
}

/** Whether an error may be gone at the next try. */
function mayPass(thrown: unknown): boolean {
  return thrown instanceof ApiError && (thrown.status === 0 || thrown.status === 429 || thrown.status >= 500);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}
