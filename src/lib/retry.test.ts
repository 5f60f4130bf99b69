import { describe, expect, it } from "vitest";
import { backoffMs, isMissingMethod, withRetry } from "./retry.ts";

function flaky(errors: object[]) {
  let calls = 0;
  return {
    call: async () => {
      const error = errors[calls++];
      if (error) throw Object.assign(new Error("broken"), error);
      return "answer";
    },
    calls: () => calls,
  };
}

const noSleep = { sleep: async () => {}, random: () => 0.5 };

describe("backoffMs", () => {
  const waits = (jitter: "full" | "above base", ...draws: [failures: number, random: number][]) =>
    draws.map(([failures, random]) =>
      backoffMs(failures, { baseMs: 1_000, capMs: 300_000, jitter, random: () => random }),
    );

  it("with full jitter is anywhere below a bound that doubles up to the cap", () => {
    expect(waits("full", [1, 0], [1, 0.5], [2, 0.5], [50, 0.5])).toEqual([0, 500, 1_000, 150_000]);
  });

  it("with jitter above the base is never shorter than the base", () => {
    expect(waits("above base", [1, 0], [1, 0.999], [3, 0.5], [50, 0], [50, 0.9999999])).toEqual([
      1_000, 1_999, 4_500, 1_000, 299_999,
    ]);
  });
});

describe("withRetry", () => {
  it("tries again after retryable errors and answers", async () => {
    const target = flaky([{ retryable: true }, { retryable: true }]);
    expect(await withRetry(target.call, noSleep)).toBe("answer");
    expect(target.calls()).toBe(3);
  });

  it("tries again where the object does not have the method yet: nothing was done", async () => {
    const message = 'The RPC receiver does not implement the method "nextVersion".';
    const target = flaky([{ message }, { message }]);
    expect(await withRetry(target.call, noSleep)).toBe("answer");
    expect(target.calls()).toBe(3);
  });

  it("tries again only where its caller says so", async () => {
    const target = flaky([{ retryable: true }]);
    await expect(withRetry(target.call, { ...noSleep, mayRetry: isMissingMethod })).rejects.toThrow("broken");
    expect(target.calls()).toBe(1);
  });

  it.each([{ overloaded: true, retryable: true }, { overloaded: true }, {}])(
    "does not try again after %j",
    async (error) => {
      const target = flaky([error]);
      await expect(withRetry(target.call, noSleep)).rejects.toMatchObject(error);
      expect(target.calls()).toBe(1);
    },
  );

  it("gives up after its tries with the last error, having waited in between", async () => {
    const waits: number[] = [];
    const target = flaky(Array.from({ length: 9 }, () => ({ retryable: true })));
    await expect(
      withRetry(target.call, { tries: 4, random: () => 0.999, sleep: async (ms) => void waits.push(ms) }),
    ).rejects.toThrow("broken");
    expect(target.calls()).toBe(4);
    expect(waits).toEqual([100, 200, 400]);
  });
});
