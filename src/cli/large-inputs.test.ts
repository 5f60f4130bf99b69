/** Files above 32 MiB among the inputs of a submission. */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeManager, problem, sha256 } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { ManagerClient } from "../client/manager-client.ts";
import { MAX_FILE_BYTES, PART_BYTES } from "../protocol/constants.ts";
import { piecesOfParts, pieceListText, readPieceList, type Piece } from "../protocol/piece-list.ts";
import type { LocalInput } from "./inputs.ts";
import { sendInputs } from "./send-inputs.ts";

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;
/** What the manager has, by hash. */
let stored: Map<string, Buffer>;
let lists: Set<string>;

beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
  folder = temporaryFolder("large-inputs");
  [stored, lists] = [new Map(), new Set()];
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

/** Behaves as a manager of this version does with inputs; at most `puts` of them are taken. */
function manageInputs(version: string, puts = Infinity): void {
  manager
    .on("GET", /^\/healthz$/, () => ({ status: 200, json: { status: "ok", version } }))
    .on("POST", /^\/assets\/missing$/, ({ json }) => {
      const asked = json as { sha256: string[]; piece_lists?: string[] };
      const isThere = (one: string): boolean => (asked.piece_lists?.includes(one) ? lists : stored).has(one);
      return { status: 200, json: { missing: asked.sha256.filter((one) => !isThere(one)) } };
    })
    .on("PUT", /\/pieces$/, ({ path, body }) => {
      const name = path.split("/")[2]!;
      const pieces = readPieceList(String(body));
      const right =
        name === sha256(body) && pieces.ok && pieces.value.every((one) => stored.get(one.sha256)?.length === one.size);
      if (!right) return problem(409, "conflict");
      stored.set(name, body);
      lists.add(name);
      return { status: 201, json: { sha256: name, size: body.length, whole: 1, pieces: pieces.value.length } };
    })
    .on("PUT", /^\/assets\/[^/]+$/, ({ path, body }) => {
      const name = path.split("/")[2]!;
      if (puts-- <= 0) return problem(413, "too_large", "enough for now");
      if (name !== sha256(body)) return problem(422, "invalid");
      stored.set(name, body);
      return { status: 201, json: { sha256: name, size: body.length } };
    })
    .on("GET", /\/parts$/, () => ({ status: 200, json: { part_bytes: PART_BYTES, parts: [] } }))
    .on("PUT", /\/parts\/\d$/, () => ({ status: 204 }))
    .on("POST", /\/assemble$/, ({ json }) => ({ status: 201, json }));
}

function file(name: string, ...parts: Buffer[]): { input: LocalInput; size: number; list: string; pieces: Piece[] } {
  const path = join(folder.path, name);
  const bytes = Buffer.concat(parts);
  writeFileSync(path, bytes);
  const pieces = piecesOfParts(bytes.length, parts.map(sha256));
  return { input: { path: name, file: path }, size: bytes.length, list: sha256(pieceListText(pieces)), pieces };
}

const part = (fill: string, size = PART_BYTES): Buffer => Buffer.alloc(size, fill);
const puts = (): number[] =>
  manager
    .to(/^\/assets\/[^/]+$/)
    .filter(({ method }) => method === "PUT")
    .map(({ body }) => body.length);

describe("an input above 32 MiB", () => {
  test("is sent as pieces and a list of them; what two files share is sent once", async () => {
    manageInputs("0.2.0");
    const [one, two] = [
      file("one.vdb", part("a"), part("b"), part("end", 1_000)),
      file("two.vdb", part("b"), part("c", 7)),
    ];
    const small = file("small.png", part("d", 10));
    const sent = await sendInputs(
      client,
      [one, two, small].map(({ input }) => input),
      true,
    );
    expect(sent.assets).toEqual([
      { path: "one.vdb", sha256: one.list, size: one.size, pieces: true },
      { path: "two.vdb", sha256: two.list, size: two.size, pieces: true },
      { path: "small.png", sha256: sha256(part("d", 10)), size: 10 },
    ]);
    expect(puts().toSorted((a, b) => a - b)).toEqual([7, 10, 1_000, PART_BYTES, PART_BYTES]);
    expect(sent).toMatchObject({ sentBytes: 2 * PART_BYTES + 1_017, known: 0 });
    expect([...lists].toSorted()).toEqual([one.list, two.list].toSorted());
    expect(manager.to(/parts|assemble/)).toEqual([]);

    manager.calls.length = 0;
    const again = await sendInputs(client, [two.input, one.input], true);
    expect(again).toMatchObject({ sentBytes: 0, known: 2 });
    expect(manager.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /healthz",
      "POST /assets/missing",
    ]);
  });

  test("goes on with the pieces that have not arrived after it broke off", async () => {
    const one = file("one.vdb", part("a"), part("b"), part("c"), part("d"), part("e", 3));
    manageInputs("0.2.0", 3);
    await expect(sendInputs(client, [one.input], true)).rejects.toThrow("enough for now");
    expect([stored.size, lists.size]).toEqual([3, 0]);
    manager.handlers.length = manager.calls.length = 0;
    manageInputs("0.2.0");
    const sent = await sendInputs(client, [one.input], true);
    expect(puts()).toHaveLength(2);
    expect(sent.sentBytes).toBe(puts().reduce((sum, size) => sum + size, 0));
    expect([...lists]).toEqual([one.list]);
  });

  test("goes in parts, and under the hash of the whole, to a manager that knows no piece lists", async () => {
    manageInputs("0.1.0");
    const one = file("one.vdb", part("a"), part("b", 5));
    const whole = sha256(Buffer.concat([part("a"), part("b", 5)]));
    const { assets } = await sendInputs(client, [one.input], true);
    expect(assets).toEqual([{ path: "one.vdb", sha256: whole, size: one.size }]);
    expect(manager.to(/missing$/)[0]!.json).toEqual({ sha256: [whole] });
    expect(manager.to(/\/parts\/\d$/)).toHaveLength(2);
    expect(manager.to(/\/assemble$/)[0]!.json).toEqual({ size: one.size, sha256: whole });
  });

  test("that changes while it is being sent is named", async () => {
    manageInputs("0.2.0");
    const one = file("one.vdb", part("a"), part("b", 5));
    for (const change of [
      () => writeFileSync(one.input.file, part("z", PART_BYTES + 5)),
      () => truncateSync(one.input.file, 3),
    ]) {
      file("one.vdb", part("a"), part("b", 5));
      stored.clear();
      manager.handlers.length = 0;
      manager.on("POST", /^\/assets\/missing$/, ({ json }) => {
        if (!json!["piece_lists"]) change();
        return undefined;
      });
      manageInputs("0.2.0");
      await expect(sendInputs(client, [one.input], true)).rejects.toThrow(/^one.vdb changed while it was being sent$/);
      expect(lists.size).toBe(0);
    }
  });

  test("P10: that is larger than any file may be is refused before anything is read or sent", async () => {
    manageInputs("0.2.0");
    const one = file("huge.vdb", part("a", 1));
    truncateSync(one.input.file, MAX_FILE_BYTES + 1);
    const small = file("small.png", part("d", 10));
    await expect(sendInputs(client, [small.input, one.input], true)).rejects.toMatchObject({
      exitCode: 2,
      message: `huge.vdb has ${MAX_FILE_BYTES + 1} bytes, and a file may have at most ${MAX_FILE_BYTES}`,
    });
    expect(manager.calls).toEqual([]);
  });
});
