/**
 * Messages that are shown for a few seconds: what was done, or what went wrong. Screen readers read
 * them out.
 */
import { signal } from "@preact/signals";
import { messageOf } from "../lib/problem.ts";
import { text } from "../text.ts";

interface Shown {
  id: number;
  words: string;
}

/** Long enough to read two lines. */
const STAYS_MS = 6_000;
const shown = signal<readonly Shown[]>([]);
let last = 0;

function dismiss(id: number): void {
  shown.value = shown.value.filter((message) => message.id !== id);
}

/** Show a message for a few seconds. */
export function say(words: string): void {
  const id = ++last;
  shown.value = [...shown.value.slice(-3), { id, words }];
  setTimeout(() => dismiss(id), STAYS_MS);
}

/**
 * Run an action. When it fails, show why and answer false; when it succeeds, show `done` and answer
 * true.
 */
export async function attempt(what: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await what();
    if (done !== undefined) say(done);
    return true;
  } catch (thrown) {
    say(messageOf(thrown));
    return false;
  }
}

/** Number of open modal dialogs. They cover the page, so messages are shown inside them. */
export const covers = signal(0);

export function Messages({ inDialog = false }: { inDialog?: boolean }) {
  const here = inDialog || covers.value === 0;
  return (
    <div class="messages" role="status" aria-live="polite">
      {(here ? shown.value : []).map(({ id, words }) => (
        <div class="message" key={id}>
          <span>{words}</span>
          <button type="button" onClick={() => dismiss(id)}>
            {text.dismiss}
          </button>
        </div>
      ))}
    </div>
  );
}
