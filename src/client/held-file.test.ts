import { describe, expect, test } from "vitest";
import { whenFree, whenFreeSync } from "./held-file.ts";

const error = (code: string): Error => Object.assign(new Error(code), { code });

/** Fails with these codes one after the other, then answers; and counts. */
function failing(...codes: string[]): { act: () => string; calls: () => number } {
  let calls = 0;
  const act = (): string => {
    const code = codes[calls++];
    if (code !== undefined) throw error(code);
    return "done";
  };
  return { act, calls: () => calls };
}

const quick = { platform: "win32", waitsMs: [0, 0, 0] } as const;

describe.each([
  ["waiting", async (act: () => string, options: object) => await whenFree(async () => act(), options)],
  ["holding up the process", async (act: () => string, options: object) => whenFreeSync(act, options)],
])("a file that another program holds on Windows (%s)", (_, run) => {
  test("is tried again", async () => {
    const { act, calls } = failing("EBUSY", "EPERM", "EACCES");
    expect(await run(act, quick)).toBe("done");
    expect(calls()).toBe(4);
  });

  test("and no longer than for a moment: then the error is the system's", async () => {
    const { act, calls } = failing("EBUSY", "EBUSY", "EBUSY", "EPERM", "EBUSY");
    await expect(run(act, quick)).rejects.toThrow("EPERM");
    expect(calls()).toBe(4);
  });

  test("other errors come at once, and so do all on other systems", async () => {
    const missing = failing("ENOENT");
    await expect(run(missing.act, quick)).rejects.toThrow("ENOENT");
    expect(missing.calls()).toBe(1);
    const elsewhere = failing("EPERM");
    await expect(run(elsewhere.act, { ...quick, platform: "linux" })).rejects.toThrow("EPERM");
    expect(elsewhere.calls()).toBe(1);
  });
});
