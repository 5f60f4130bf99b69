/** Waiting in tests for what other events bring. Real time goes by, and a clock that a test has set stays as it is. */
const EVERY_MS = 10;
/** Only ends a hang: what is waited for comes within milliseconds on a machine that is not busy. */
const WITHIN_MS = 120_000;

async function pause(ms: number): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
}

/** Wait until it is so. Throws, with what has not come, when it does not become so. */
export async function until(isSo: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (let waitedMs = 0; !(await isSo()); waitedMs += EVERY_MS) {
    if (waitedMs >= WITHIN_MS) throw new Error(`${what()} did not come`);
    await pause(EVERY_MS);
  }
}
