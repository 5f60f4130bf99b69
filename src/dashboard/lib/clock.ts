/**
 * One clock for all texts that count seconds. It stops while the page is hidden, so that a hidden
 * page does no work.
 */
import { signal } from "@preact/signals";

export const now = signal(Date.now());

export function startClock(): void {
  const tick = (): void => {
    if (!document.hidden) now.value = Date.now();
  };
  setInterval(tick, 1_000);
  document.addEventListener("visibilitychange", tick);
}
