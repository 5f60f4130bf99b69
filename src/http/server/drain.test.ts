import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { drain, MAX_DRAIN_MS } from "./drain.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function post(body: ReadableStream, headers: Record<string, string> = {}): Request {
  return new Request("http://manager/x", { method: "POST", body, headers, duplex: "half" } as RequestInit);
}

it("reads a refused body to its end", async () => {
  let reads = 0;
  const body = new ReadableStream({
    pull: (controller) => (++reads < 5 ? controller.enqueue(new Uint8Array(1_000)) : controller.close()),
  });
  await drain(post(body));
  expect(reads).toBe(5);
});

it("P10: does not wait for a body that comes slowly", async () => {
  let canceled = false;
  const trickle = new ReadableStream({
    pull: async (controller) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      if (!canceled) controller.enqueue(new Uint8Array(1));
    },
    cancel: () => void (canceled = true),
  });
  const drained = drain(post(trickle));
  await vi.advanceTimersByTimeAsync(MAX_DRAIN_MS - 1);
  expect(canceled).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await drained;
  expect(canceled).toBe(true);
});

it("does not read a body larger than any upload", async () => {
  const body = new ReadableStream({ pull: () => expect.unreachable("it was read") }, { highWaterMark: 0 });
  await drain(post(body, { "Content-Length": String(1e9) }));
});
