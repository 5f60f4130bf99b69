/**
 * CPU time of the Worker for bytes that pass through it, from the runtime's own process time. The
 * free plan allows 10 ms a request and the paid one 30 s by default
 * (https://developers.cloudflare.com/workers/platform/limits/#cpu-time), so what a request costs must
 * not grow with the bytes more than the platform's own passing on of bytes does.
 */
import { createHash, randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { assetSchema, PART_BYTES, pieceListSchema } from "../../src/protocol/file.ts";
import { piecesOfParts, pieceListText } from "../../src/protocol/piece-list.ts";
import { cpuMs, cpuRatio } from "../support/cpu.ts";
import { startPlatform, type Platform } from "./platform.ts";

/**
 * CPU of a download, as a multiple of passing the same bytes on without any code of ours. A copy of
 * the bytes in JavaScript costs three times the plain pass and more.
 */
const MAX_RATIO = 1.5;
/** Of one round: enough for a step of 10 ms to be a small part of the time. */
const ROUND_BYTES = 256 * 1024 * 1024;
/**
 * What the end of an upload may cost more for four times the bytes: steps of the clock, and other
 * work of the runtime. To hash 256 MiB takes 270 ms, as measured here.
 */
const SAME_MS = 60;

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(async () => {
  await platform.stop();
});

const sha256Of = (parts: number, bytes: Buffer): string => {
  const hash = createHash("sha256");
  for (let i = 0; i < parts; i++) hash.update(bytes);
  return hash.digest("hex");
};

/** A file of equal parts. */
function fileOf(
  parts: number,
  fill: string,
): { bytes: Buffer; part: string; sha256: string; list: string; text: string } {
  const bytes = Buffer.alloc(PART_BYTES, fill);
  const part = sha256Of(1, bytes);
  const pieces = Array.from({ length: parts }, () => part);
  const text = pieceListText(piecesOfParts(parts * PART_BYTES, pieces));
  const list = createHash("sha256").update(text).digest("hex");
  return { bytes, part, sha256: sha256Of(parts, bytes), list, text };
}

type LargeFile = ReturnType<typeof fileOf>;

/** Send the parts of a file to a place where it can be assembled; it is not assembled yet. */
async function sendParts(at: string, { bytes, part }: LargeFile, parts: number, more = {}): Promise<void> {
  for (let i = 1; i <= parts; i++) {
    const headers = { ...more, "content-length": String(PART_BYTES), "tablao-sha256": part };
    await platform.client.call(z.null(), "PUT", `${at}/parts/${i}`, { headers, body: () => bytes });
  }
}

/** Assemble; answers with the CPU that it took. */
async function assemble(at: string, { sha256 }: LargeFile, parts: number, headers = {}): Promise<number> {
  const json = { size: parts * PART_BYTES, sha256 };
  const beganMs = cpuMs(platform.pids);
  await platform.client.call(assetSchema, "POST", `${at}/assemble`, { json, headers, timeoutMs: 600_000 });
  return cpuMs(platform.pids) - beganMs;
}

/** Read an answer to its end; returns how many bytes it had. */
async function drained(response: Response): Promise<number> {
  let bytes = 0;
  for await (const chunk of response.body!) bytes += chunk.byteLength;
  return bytes;
}

test("the download of a file costs the Worker little more than passing the bytes on", async () => {
  const bytes = Buffer.alloc(PART_BYTES, "a file of one object ");
  const sha256 = sha256Of(1, bytes);
  const headers = { "content-length": String(PART_BYTES) };
  await platform.client.call(assetSchema, "PUT", `/assets/${sha256}`, { headers, body: () => bytes });
  const times = ROUND_BYTES / PART_BYTES;
  const repeat = async (read: () => Promise<Response>): Promise<void> => {
    for (let i = 0; i < times; i++) expect(await drained(await read())).toBe(PART_BYTES);
  };
  const { ratio, measuredMs, plainMs } = await cpuRatio({
    pids: platform.pids,
    measured: () => repeat(() => platform.client.send("GET", `/assets/${sha256}`)),
    plain: () => repeat(() => fetch(`${platform.url}/__platform/plain?key=assets/${sha256}`)),
  });
  process.stderr.write(
    `download of ${ROUND_BYTES / 1024 ** 2} MiB: ${measuredMs} ms of CPU, plain ${plainMs} ms, ratio ${ratio.toFixed(2)}\n`,
  );
  expect(ratio).toBeLessThan(MAX_RATIO);
});

test("P14: an input above 32 MiB costs no more CPU at its end when it is four times as large", async () => {
  const costOf = async (parts: number, fill: string): Promise<number> => {
    const { bytes, part, list, text } = fileOf(parts, fill);
    const headers = { "content-length": String(PART_BYTES) };
    await platform.client.call(assetSchema, "PUT", `/assets/${part}`, { headers, body: () => bytes });
    const beganMs = cpuMs(platform.pids);
    const sent = { headers: { "content-length": String(text.length) }, body: () => text };
    const stored = await platform.client.call(pieceListSchema, "PUT", `/assets/${list}/pieces`, sent);
    expect(stored).toMatchObject({ whole: parts * PART_BYTES, pieces: parts });
    return cpuMs(platform.pids) - beganMs;
  };
  const smallMs = await costOf(2, "small input ");
  const largeMs = await costOf(8, "large input ");
  process.stderr.write(`piece list of 64 MiB: ${smallMs} ms of CPU, of 256 MiB: ${largeMs} ms\n`);
  expect(largeMs - smallMs).toBeLessThan(SAME_MS);
});

test("P14: an output above 32 MiB costs no more CPU at its end when it is four times as large; an agent of 0.1 is served as before", async () => {
  // The place of a restored output takes the same parts, and needs no lease.
  const restore = { "tablao-backup": randomUUID() };
  const json = { backup: restore["tablao-backup"], format: 1 };
  const begun = await startPlatform();
  try {
    await begun.client.call(z.null(), "POST", "/restore", { json });
    const own = platform;
    platform = begun;
    const costOf = async (name: string, parts: number, list: boolean): Promise<number> => {
      const file = fileOf(parts, name);
      const at = `/restore/outputs/1/1/${encodeURIComponent(name)}`;
      await sendParts(at, file, parts, restore);
      return await assemble(at, file, parts, { ...restore, ...(list && { "tablao-pieces": file.list }) });
    };
    try {
      const smallMs = await costOf("small.exr", 2, true);
      const largeMs = await costOf("large.exr", 8, true);
      const oldMs = await costOf("old.exr", 8, false);
      process.stderr.write(
        `assembling 64 MiB: ${smallMs} ms of CPU, 256 MiB: ${largeMs} ms; by the hash of the whole: ${oldMs} ms\n`,
      );
      expect(largeMs - smallMs).toBeLessThan(SAME_MS);
      // It reads and hashes the whole file, for which the free plan has no time.
      expect(oldMs - largeMs).toBeGreaterThan(SAME_MS);
    } finally {
      platform = own;
    }
  } finally {
    await begun.stop();
  }
});
