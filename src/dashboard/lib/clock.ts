/** One clock for everything that counts seconds: it stands still while nobody looks. */
import { signal } from "@preact/signals";

export const now = signal(Date.now());

export function startClock(): void {
  const tick = (): void => {
    if (!document.hidden) now.value = Date.now();
  };
  setInterval(tick, 1_000);
  document.addEventListener("visibilitychange", tick);
}
