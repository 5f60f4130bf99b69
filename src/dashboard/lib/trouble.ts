/**
 * What is wrong with the manager as a whole, for the banner: a quota of the platform that is used
 * up, or data of a newer version. Any call may learn of it; it holds for everything.
 */
import { computed, signal } from "@preact/signals";
import { text } from "../text.ts";
import { now } from "./clock.ts";
import type { ApiError } from "./problem.ts";

const DAY_MS = 86_400_000;
/** Shown this long after the last such answer, where the answer does not say how long it holds. */
const SHOWN_MS = 60_000;
const CODES: readonly string[] = ["quota_exceeded", "manager_outdated"];

const noted = signal<{ words: string; untilMs: number } | null>(null);

/** A sentence; null while nothing is known to be wrong. */
export const trouble = computed(() =>
  noted.value !== null && now.value < noted.value.untilMs ? noted.value.words : null,
);

export function dismissTrouble(): void {
  noted.value = null;
}

/** Look at an answer that is no success: the error made of it, and the answer itself. */
export function noteTrouble(
  error: Pick<ApiError, "code" | "message">,
  { status, headers }: Pick<Response, "status" | "headers">,
  body: string,
): void {
  const nowMs = Date.now();
  // Without requests for today, Cloudflare answers in the manager's place, with a page of its own
  // (error 1027).
  if (status === 429 && /\b1027\b/.test(body)) {
    noted.value = { words: text.requestsUsedUp, untilMs: nowMs - (nowMs % DAY_MS) + DAY_MS };
    return;
  }
  if (!CODES.includes(error.code)) return;
  const forMs = Number(headers.get("Retry-After") ?? NaN) * 1_000;
  noted.value = { words: error.message, untilMs: nowMs + (forMs > 0 ? forMs : SHOWN_MS) };
}
