import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { fakeFfmpeg, type FakeFfmpeg } from "../../test/support/fake-ffmpeg.ts";
import { testFolder } from "../../test/support/folders.ts";
import { Stopwatch } from "../../test/support/real-time.ts";
import { until } from "../../test/support/wait.ts";
import { isAlive } from "../client/process-stat.ts";
import { PreviewQueue } from "./preview-queue.ts";

let folder: string;
let ffmpeg: FakeFfmpeg;
let over: AbortController;
let uploads: { name: string; text: string }[];
let queue: PreviewQueue;

beforeEach(() => {
  folder = testFolder("previews");
  ffmpeg = fakeFfmpeg(folder);
  over = new AbortController();
  uploads = [];
  queue = newQueue();
});

function newQueue(more: { batchWaitMs?: number } = {}): PreviewQueue {
  return new PreviewQueue({ command: ffmpeg.command, folder, signal: over.signal, ...more }, async (file, name) => {
    const text = readFileSync(file, "utf8");
    await delay(5);
    uploads.push({ name, text });
    return `receipt of ${name}: ${text}`;
  });
}

/** Save an output, and ask for its preview. */
function saved(output: string, text = output): void {
  const file = path.join(folder, output);
  writeFileSync(file, text);
  queue.add(file, output);
}

const outputs = (count: number): string[] => Array.from({ length: count }, (_, i) => `f_${i + 1}.png`);
const receipt = (output: string, text = output): string => `receipt of ${output}.preview.jpg: preview of ${text}`;

/**
 * Wait until none of these previews is under way, however slow the machine is: one call of `ended`
 * waits no longer than a lease would.
 */
async function ended(names: readonly string[]): Promise<void> {
  do await queue.ended();
  while (names.some((name) => queue.isUnderWay(name)));
}

test("frames that are saved while ffmpeg runs share the next run, and each has the preview of its own file", async () => {
  const names = outputs(100);
  for (const name of names) saved(name);
  await ended(names);
  expect(names.map((name) => queue.receiptOf(name))).toEqual(names.map((name) => receipt(name)));
  expect(ffmpeg.runs().map(({ files }) => files.length)).toEqual([32, 32, 32, 4]);
});

test("a run waits a short time for more frames, and after a flush not at all", async () => {
  queue = newQueue({ batchWaitMs: 2_000 });
  saved("f_1.png");
  await delay(300);
  expect(ffmpeg.runs()).toEqual([]);
  saved("f_2.png");
  await until(() => ffmpeg.runs().length > 0, { what: "a run", everyMs: 20 });
  expect(ffmpeg.runs()[0]!.files).toEqual(["f_1.png", "f_2.png"]);
  await until(() => queue.receiptOf("f_2.png"), { what: "its receipt" });
  queue = newQueue({ batchWaitMs: 60_000 });
  queue.flush();
  saved("f_3.png");
  await until(() => queue.receiptOf("f_3.png"), { what: "its receipt", everyMs: 20 });
});

test("ffmpeg runs at a lower priority than renderers", async () => {
  saved("f_1.png");
  await queue.ended();
  expect(ffmpeg.runs()[0]!.nice).toBeGreaterThan(getPriority());
});

test("a corrupt file does not prevent the previews of the others", async () => {
  for (const name of outputs(9)) saved(name, name === "f_4.png" ? "corrupt" : name);
  await ended(outputs(9));
  const without = outputs(9).filter((name) => queue.receiptOf(name) === undefined);
  expect(without).toEqual(["f_4.png"]);
  expect(uploads).toHaveLength(8);
});

test("a failed upload, and an output without a preview, leave no receipt", async () => {
  const refusing = new PreviewQueue({ command: ffmpeg.command, folder, signal: over.signal }, () =>
    Promise.reject(new Error("refused")),
  );
  writeFileSync(path.join(folder, "f_1.png"), "pixels");
  refusing.add(path.join(folder, "f_1.png"), "f_1.png");
  refusing.add(path.join(folder, "f_1.png"), "f_1.txt");
  expect(refusing.isUnderWay("f_1.txt")).toBe(false);
  await refusing.ended();
  expect(refusing.isUnderWay("f_1.png")).toBe(false);
  expect(refusing.receiptOf("f_1.png")).toBe(undefined);
});

test("a changed file has the preview of its present content, and the manager got that preview last", async () => {
  saved("f_1.png", "first");
  await queue.ended();
  expect(queue.receiptOf("f_1.png")).toBe(receipt("f_1.png", "first"));
  saved("f_1.png", "second");
  expect(queue.receiptOf("f_1.png")).toBe(undefined);
  mkdirSync(path.join(folder, "later"));
  writeFileSync(path.join(folder, "later/f_1.png"), "third");
  queue.add(path.join(folder, "later/f_1.png"), "f_1.png");
  await queue.ended();
  expect(queue.receiptOf("f_1.png")).toBe(receipt("f_1.png", "third"));
  expect(uploads.map(({ text }) => text)).toEqual(["first", "second", "third"].map((text) => `preview of ${text}`));
});

test("P2: when the lease is over, ffmpeg is dead, and queued previews are neither made nor uploaded", async () => {
  queue.flush();
  saved("f_1.png", "hangs");
  const pid = await until(() => ffmpeg.runs()[0]?.pid, { what: "it runs" });
  for (const name of ["f_2.png", "f_3.png"]) saved(name);
  over.abort();
  const watch = new Stopwatch();
  await queue.ended();
  expect(watch.elapsedMs).toBeLessThan(1_000);
  expect(isAlive(pid)).toBe(false);
  expect([ffmpeg.runs().length, uploads.length]).toEqual([1, 0]);
  expect(outputs(3).some((name) => queue.isUnderWay(name) || queue.receiptOf(name) !== undefined)).toBe(false);
});
