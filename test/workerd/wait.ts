/**
 * Waiting in tests for the effect of other events. Real time passes, and a clock that a test has
 * set stays as it is.
 */
const EVERY_MS = 10;
/** Only ends a hang: on a machine that is not busy the wait takes milliseconds. */
const WITHIN_MS = 120_000;

async function pause(ms: number): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
}

/** Wait until the condition holds. Throws, with what is missing, when it never does. */
export async function until(isSo: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (let waitedMs = 0; !(await isSo()); waitedMs += EVERY_MS) {
    if (waitedMs >= WITHIN_MS) throw new Error(`${what()} did not come`);
    await pause(EVERY_MS);
  }
}
