/**
 * The rules of webhooks: which events a report causes, when a delivery is tried again, how it is
 * signed. Pure.
 */
import { toHex } from "../lib/bytes.ts";
import type { TaskSummary } from "../protocol/task.ts";
import type { WebhookEvent } from "../protocol/webhook.ts";

/**
 * The wait after each failed try: ten tries in 26 hours, so that a receiver that is down overnight
 * gets its events.
 */
const WAITS_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 14_400_000, 28_800_000, 43_200_000] as const;

/**
 * The events between two reports of a task. A requeued task completes again, and each completion is
 * an event.
 */
export function eventsBetween(was: TaskSummary | null, is: TaskSummary): WebhookEvent[] {
  const events: WebhookEvent[] = [];
  if ((was?.frames.done ?? 0) === 0 && is.frames.done > 0) events.push("task.first_frame");
  if (was !== null && was.status !== is.status) {
    if (is.status === "completed") events.push("task.completed");
    if (is.status === "failed") events.push("task.failed");
  }
  return events;
}

/** When to try again after this many failed tries; null to give up. */
export function nextTryMs(tries: number, nowMs: number): number | null {
  const wait = WAITS_MS[tries - 1];
  return wait === undefined ? null : nowMs + wait;
}

/** The longest time for which a receiver that fails is left alone, whatever waits for it. */
const MAX_HOLD_MS = 60_000;

/**
 * Until when a receiver is left alone that has failed so many times in a row. One that hangs takes a
 * place among the connections for 10 s at each try: without a hold, a few such would leave no place
 * to the others while much waits for them.
 */
export function holdUntilMs(times: number, nowMs: number): number {
  return nowMs + Math.min(WAITS_MS[0] * 2 ** (times - 1), MAX_HOLD_MS);
}

/**
 * The value of `Tablao-Signature`: HMAC-SHA-256 of `<seconds>.<body>` with the hook's secret, in
 * hexadecimal.
 */
export async function signatureOf(secret: string, body: string, nowMs: number): Promise<string> {
  const encoder = new TextEncoder();
  const t = Math.floor(nowMs / 1_000);
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(`${t}.${body}`)));
  return `t=${t},v1=${toHex(mac)}`;
}
