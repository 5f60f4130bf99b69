import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PatientWriter } from "./patient-writer.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A D1 that answers when the test says so. */
function stalled() {
  const asked: PromiseWithResolvers<void>[] = [];
  const writer = new PatientWriter<number>(async () => {
    const answer = Promise.withResolvers<void>();
    asked.push(answer);
    await answer.promise;
  });
  return { asked, writer };
}

test("an answer is passed on, and so is a refusal", async () => {
  const { asked, writer } = stalled();
  const stored = writer.write(1);
  asked[0]!.resolve();
  await stored;
  const refused = writer.write(2);
  asked[1]!.reject(new Error("no"));
  await expect(refused).rejects.toThrow("no");
});

test("P13: a write without an answer is given up after five seconds, and stays the only one until it is answered", async () => {
  const { asked, writer } = stalled();
  const first = writer.write(1);
  const given = expect(first).rejects.toThrow("no answer within 5000 ms");
  await vi.advanceTimersByTimeAsync(5_000);
  await given;
  for (let second = 0; second < 35; second++) {
    await vi.advanceTimersByTimeAsync(1_000);
    const refused = expect(writer.write(2)).rejects.toThrow("not answered yet");
    expect(asked).toHaveLength(1);
    await refused;
  }
  asked[0]!.resolve();
  await vi.advanceTimersByTimeAsync(1);
  const later = writer.write(2);
  asked[1]!.resolve();
  await later;
});

test("P13: an answer that never comes holds writes up for a quarter of an hour, and an answer after that changes nothing", async () => {
  const { asked, writer } = stalled();
  const first = expect(writer.write(1)).rejects.toThrow("no answer");
  await vi.advanceTimersByTimeAsync(899_000);
  await first;
  await expect(writer.write(2)).rejects.toThrow("not answered yet");
  await vi.advanceTimersByTimeAsync(1_000);
  const second = writer.write(2);
  asked[0]!.resolve();
  await vi.advanceTimersByTimeAsync(1);
  await expect(writer.write(3)).rejects.toThrow("not answered yet");
  asked[1]!.resolve();
  await second;
  expect(asked).toHaveLength(2);
});
