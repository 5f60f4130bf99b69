/**
 * Uploads of inputs: many small ones, and a large one on a bad connection. Pieces that have
 * arrived are not sent again.
 */
import { createHash, randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { missingResultSchema, PART_BYTES } from "../../src/protocol/file.ts";
import { piecesOfParts, pieceListText, type Piece } from "../../src/protocol/piece-list.ts";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { endFarm, startAgent, startManager, startTablao, submit, tablao, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";

afterAll(endFarm);

const MIB = 1024 * 1024;
/** By default nine pieces of 32 MiB and one of 12; `npm run test:long` uses a larger file. */
const SIZE_MIB = Number(process.env["TABLAO_LARGE_MB"] ?? 300);
const SIZE = SIZE_MIB * MIB;
/** Time for an agent to fetch and hash these bytes: only ends a hang. */
const FETCHED_WITHIN_MS = 120_000 + SIZE_MIB * 1_000;
/** Bytes of all calls besides the file: hashes, settings, tokens. */
const TALK_BYTES = 64 * 1024;

/** A file of random bytes: no two pieces are the same. Returns its hash and its pieces. */
function writeNoise(file: string): { sha256: string; pieces: Piece[] } {
  const hash = createHash("sha256");
  const block = Buffer.alloc(4 * MIB);
  const to = openSync(file, "w");
  const pieces: string[] = [];
  let piece = createHash("sha256");
  for (let at = 0; at < SIZE; at += block.length) {
    randomFillSync(block);
    const bytes = block.subarray(0, SIZE - at);
    hash.update(bytes);
    piece.update(bytes);
    writeSync(to, bytes);
    if ((at + block.length) % PART_BYTES !== 0 && at + block.length < SIZE) continue;
    pieces.push(piece.digest("hex"));
    piece = createHash("sha256");
  }
  closeSync(to);
  return { sha256: hash.digest("hex"), pieces: piecesOfParts(SIZE, pieces) };
}

test(`a ${SIZE_MIB} MB input, its upload killed in the middle, continues where it was; the same file again sends no bytes`, async () => {
  const folder = testFolder("large");
  const blend = path.join(folder, "shot.blend");
  writeFileSync(blend, testScene());
  mkdirSync(path.join(folder, "cache"));
  const { sha256, pieces } = writeNoise(path.join(folder, "cache", "smoke.vdb"));
  const manager = await startManager();
  const proxy = await startCountingProxy(manager.url);
  const through = { manager: { url: proxy.url, token: manager.token } };
  const args = ["submit", blend, "--include", path.join(folder, "cache"), "--frames", "1", "--paused"];
  const list = createHash("sha256").update(pieceListText(pieces)).digest("hex");
  const arrived = async (): Promise<Piece[]> => {
    const json = { sha256: pieces.map((piece) => piece.sha256) };
    const { missing } = await manager.client.call(missingResultSchema, "POST", "/assets/missing", { json });
    return pieces.filter((piece) => !missing.includes(piece.sha256));
  };

  // Three pieces travel at a time: after five and a half, at least two of them are complete, and
  // none of the next three.
  proxy.holdAfter(5.5 * PART_BYTES);
  const first = startTablao(through, ...args);
  await until(() => proxy.holding(), { what: "the upload is in the middle" });
  await until(async () => (await arrived()).length >= 2, { what: "pieces have arrived" });
  expect((await first.end("SIGKILL")).signal).toBe("SIGKILL");
  // A proxy whose buffers are full does not notice the end of its client.
  proxy.cut();
  await until(() => proxy.seen.every((request) => request.over), { what: "every call has ended" });
  // Only a piece of which every byte was passed on counts as arrived. The manager may still be
  // storing one of those: its answer was cut off, its bytes were not.
  const passedOn = new Set(proxy.seen.filter(({ bytes: sent }) => sent === PART_BYTES).map((request) => request.path));
  const there = await arrived();
  expect(there.length).toBeGreaterThanOrEqual(2);
  expect(there.length).toBeLessThanOrEqual(5);
  expect(there.filter((piece) => !passedOn.has(`/assets/${piece.sha256}`))).toEqual([]);

  proxy.reset();
  const second = await tablao(through, ...args);
  expect(second).toMatchObject({ code: 0 });
  const puts = proxy.seen.filter((request) => request.method === "PUT");
  const sent = puts.filter((request) => pieces.some((piece) => request.path === `/assets/${piece.sha256}`));
  // Each piece that was not passed on, once, and none that had arrived; then their list. The agent's
  // hash below shows that the pieces make the whole file.
  const sentPaths = sent.map((request) => request.path);
  expect(new Set(sentPaths).size).toBe(sentPaths.length);
  expect(there.filter((piece) => sentPaths.includes(`/assets/${piece.sha256}`))).toEqual([]);
  const missing = pieces.filter((piece) => !passedOn.has(`/assets/${piece.sha256}`));
  expect(missing.length).toBeGreaterThanOrEqual(pieces.length - 5);
  expect(missing.filter((piece) => !sentPaths.includes(`/assets/${piece.sha256}`))).toEqual([]);
  const bytes = pieces
    .filter((piece) => sentPaths.includes(`/assets/${piece.sha256}`))
    .reduce((sum, { size }) => sum + size, 0);
  expect(sent.reduce((sum, request) => sum + request.bytes, 0)).toBe(bytes);
  expect(puts.at(-1)!.path).toBe(`/assets/${list}/pieces`);
  expect(proxy.bytes()).toBeLessThan(bytes + TALK_BYTES);
  expect(proxy.seen.filter(({ path: at }) => /parts|assemble/.test(at))).toEqual([]);
  expect(await arrived()).toEqual(pieces);

  proxy.reset();
  const third = await tablao(through, ...args);
  expect(third).toMatchObject({ code: 0 });
  expect(third.stderr).toContain("2 files on the manager already, nothing to send");
  expect(proxy.seen.filter((request) => request.method === "PUT")).toEqual([]);
  expect(proxy.bytes()).toBeLessThan(TALK_BYTES);
  await proxy.close();

  // The file is usable: an agent that has none of it gets all of it, undamaged.
  await startAgent(manager, { name: "fetcher", args: ["--allow-exec"] });
  const assets = [{ path: "cache/smoke.vdb", sha256: list, size: SIZE, pieces: true }];
  const settings = { program: "sha256sum", args: ["{in:cache/smoke.vdb}"], assets };
  const id = await submit(manager, "--type", "exec", "--settings", JSON.stringify(settings));
  expect(await untilStatus(manager, id, ["completed", "failed"], FETCHED_WITHIN_MS)).toMatchObject({
    status: "completed",
  });
  expect((await tablao(manager, "logs", String(id))).stdout).toContain(sha256);
});

test("120 small inputs travel in five requests, beside one that is too large for a batch; the same again sends no bytes", async () => {
  const folder = testFolder("small");
  const blend = path.join(folder, "shot.blend");
  writeFileSync(blend, testScene());
  mkdirSync(path.join(folder, "tex"));
  const contents = Array.from({ length: 119 }, (_, i) => Buffer.from(`texture ${i} `.repeat(i * 20)));
  const large = Buffer.alloc(300_000, "a texture of 300 kB ");
  for (const [i, content] of [...contents, large].entries())
    writeFileSync(path.join(folder, "tex", String(i)), content);
  const manager = await startManager();
  const proxy = await startCountingProxy(manager.url);
  const through = { manager: { url: proxy.url, token: manager.token } };
  const args = ["submit", blend, "--include", path.join(folder, "tex"), "--frames", "1", "--paused"];

  expect(await tablao(through, ...args)).toMatchObject({ code: 0 });
  const sent = proxy.seen.filter(({ path: at }) => at.startsWith("/assets") && at !== "/assets/missing");
  const at = (where: string) => sent.filter((request) => request.path === where);
  expect(at("/assets")).toHaveLength(5);
  expect(sent.filter((request) => request.method === "PUT").map(({ bytes }) => bytes)).toEqual([large.length]);
  const digest = (content: Buffer) => createHash("sha256").update(content).digest("hex");
  for (const content of [...contents, large]) {
    const response = await manager.client.send("GET", `/assets/${digest(content)}`);
    expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
  }

  proxy.reset();
  const again = await tablao(through, ...args);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr).toContain("121 files on the manager already, nothing to send");
  expect(proxy.seen.filter((request) => request.path.startsWith("/assets")).map((request) => request.path)).toEqual([
    "/assets/missing",
  ]);
  await proxy.close();
});
