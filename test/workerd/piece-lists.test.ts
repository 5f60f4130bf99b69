/**
 * Piece lists (decision 020): when one is taken, what is said of it while the index of inputs or a
 * piece is not there, and that its pieces are kept for as long as it is. On D1 and R2 as workerd has
 * them.
 */
import { createScheduledController } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fillInputIndex } from "../../src/files/fill-input-index.ts";
import { recordInputs, recordPieceList } from "../../src/files/input-index.ts";
import { sizesOfInputs, takePieceList } from "../../src/files/stored-inputs.ts";
import { findMissingAssets, getAsset, putAsset, putPieceList } from "../../src/http/routes/assets.ts";
import worker from "../../src/index.ts";
import { MAX_BATCH_FILES } from "../../src/protocol/asset-batch.ts";
import { missingResultSchema } from "../../src/protocol/file.ts";
import { MAX_PIECE_LIST_BYTES, pieceListText, type Piece } from "../../src/protocol/piece-list.ts";
import { call, env, keys, post, problem, put, sha256, text } from "./files-call.ts";
import { CountedCalls, failing, hashOfNumber } from "./input-storage.ts";

const DAY_MS = 86_400_000;
const REAL = { ...env };
const { FILES, HISTORY } = REAL;

interface Row {
  sha256: string;
  deleting_until_ms: number | null;
  size: number;
  used_ms: number;
  whole_size: number | null;
  pieces: string | null;
}

interface List {
  sha256: string;
  text: string;
  pieces: Piece[];
}

async function rowOf(hash: string): Promise<Row | null> {
  return await HISTORY.prepare("SELECT * FROM inputs WHERE sha256 = ?").bind(hash).first<Row>();
}

async function setRows(columns: string, ...hashes: string[]): Promise<void> {
  for (const hash of hashes) await HISTORY.prepare(`UPDATE inputs SET ${columns} WHERE sha256 = ?`).bind(hash).run();
}

/** Which of these the manager says are missing; `lists` are asked for as piece lists. */
async function missing(hashes: readonly string[], lists: readonly string[] = []): Promise<string[]> {
  const answer = await post(findMissingAssets, { sha256: hashes, piece_lists: lists });
  expect(answer.status).toBe(200);
  return missingResultSchema.parse(await answer.json()).missing;
}

async function upload(content: string): Promise<Piece> {
  const piece = { sha256: await sha256(text(content)), size: content.length };
  expect((await put(putAsset, text(content), { params: { sha256: piece.sha256 } })).status).toBeLessThan(300);
  return piece;
}

async function listOf(pieces: Piece[]): Promise<List> {
  const list = pieceListText(pieces);
  return { sha256: await sha256(text(list)), text: list, pieces };
}

async function putList(list: Pick<List, "sha256" | "text">): Promise<Response> {
  return await put(putPieceList, text(list.text), { params: { sha256: list.sha256 } });
}

/** A list of three pieces, two of them equal, that is stored with them. */
async function stored(name: string): Promise<List> {
  const [a, b] = [await upload(`${name}: the first piece`), await upload(`${name}: the last`)];
  const list = await listOf([a, a, b]);
  expect((await putList(list)).status).toBe(201);
  return list;
}

async function cron(): Promise<void> {
  await worker.scheduled(createScheduledController({ scheduledTime: new Date() }), env);
}

/** P14: no piece may have been unused for longer than a list that names it. */
async function expectPiecesAsUsed(list: List): Promise<void> {
  const { used_ms } = (await rowOf(list.sha256))!;
  for (const piece of list.pieces) expect((await rowOf(piece.sha256))!.used_ms).toBeGreaterThanOrEqual(used_ms);
}

async function loseIndex(complete: 0 | 1): Promise<void> {
  await HISTORY.prepare("DELETE FROM inputs").run();
  await HISTORY.prepare("UPDATE inputs_fill SET after = '', complete = ?").bind(complete).run();
}

beforeEach(async () => {
  for (const prefix of ["assets/", "unindexed/"]) {
    const there = await keys(prefix);
    if (there.length > 0) await FILES.delete(there);
  }
  await loseIndex(1);
});

afterEach(() => Object.assign(env, REAL));

describe("a piece list", () => {
  test("is stored when its pieces are, and is then there as a list and as the text that it is", async () => {
    const [a, b] = [await upload("the first piece"), await upload("the last")];
    const list = await listOf([a, a, b]);
    expect(await missing([list.sha256, a.sha256], [list.sha256])).toEqual([list.sha256]);
    const answer = await putList(list);
    expect([answer.status, await answer.json()]).toEqual([
      201,
      { sha256: list.sha256, size: list.text.length, whole: 38, pieces: 3 },
    ]);
    expect((await putList(list)).status).toBe(200);
    expect(await missing([list.sha256, a.sha256], [list.sha256])).toEqual([]);
    expect(await rowOf(list.sha256)).toMatchObject({
      size: list.text.length,
      whole_size: 38,
      pieces: JSON.stringify([a.sha256, a.sha256, b.sha256]),
    });
    const bytes = await call(getAsset, { params: { sha256: list.sha256 } });
    expect(await bytes.text()).toBe(list.text);
    // Only a list is one.
    expect(await missing([a.sha256], [a.sha256])).toEqual([a.sha256]);
  });

  test("P11: is refused while a piece is not stored or has another size, and the first such piece is named", async () => {
    const [a, b] = [await upload("the first piece"), await upload("the last")];
    const absent = { sha256: hashOfNumber(7), size: 5 };
    for (const [pieces, which] of [
      [[a, absent, b], "Piece 2 of 3"],
      [[a, { ...b, size: b.size + 1 }], "Piece 2 of 2"],
    ] as const) {
      const list = await listOf([...pieces]);
      const refused = await putList(list);
      const detail = (await refused.clone().json<{ detail: string }>()).detail;
      expect(await problem(refused)).toMatchObject({ status: 409, code: "conflict" });
      expect(detail).toContain(which);
      expect(await FILES.head(`assets/${list.sha256}`)).toBeNull();
      expect(await rowOf(list.sha256)).toBeNull();
    }
  });

  test("P10: of another hash, form or length is refused with the rule", async () => {
    const [a, b] = [await upload("the first piece"), await upload("the last")];
    const right = await listOf([a, b]);
    const put = async (sent: string): Promise<string[]> => {
      const answer = await putList({ sha256: await sha256(text(sent)), text: sent });
      const { status, fields } = await problem(answer);
      return [String(status), ...fields];
    };
    expect(await put(right.text.replace("1\n", "2\n"))).toEqual(["422", "body"]);
    expect(await put(right.text.toUpperCase())).toEqual(["422", "body"]);
    expect(await put("x".repeat(MAX_PIECE_LIST_BYTES + 1))).toEqual(["413", "Content-Length"]);
    expect(await problem(await putList({ ...right, sha256: hashOfNumber(1) }))).toMatchObject({
      status: 422,
      fields: ["sha256"],
    });
    const marked = { sha256: right.sha256, text: `\ufeff${right.text}` };
    expect(await problem(await putList(marked))).toMatchObject({ status: 422, fields: ["sha256"] });
    const wrong = await post(findMissingAssets, { sha256: [a.sha256], piece_lists: [right.sha256] });
    expect(await problem(wrong)).toMatchObject({ status: 422, fields: ["piece_lists.0"] });
  });

  test("whose text is there as an ordinary input becomes a list, and stays one when the text comes again", async () => {
    const [a, b] = [await upload("the first piece"), await upload("the last")];
    const list = await listOf([a, b]);
    await upload(list.text);
    expect(await missing([list.sha256], [list.sha256])).toEqual([list.sha256]);
    expect((await putList(list)).status).toBe(201);
    await upload(list.text);
    expect(await missing([list.sha256], [list.sha256])).toEqual([]);
    expect(await (await FILES.get(`assets/${list.sha256}`))!.text()).toBe(list.text);
    expect((await FILES.head(`assets/${list.sha256}`))!.customMetadata).toMatchObject({ whole: "23" });
  });

  test("P14: keeps its pieces: whatever notes that it is used notes it of them", async () => {
    const list = await stored("kept");
    const all = [list.sha256, ...list.pieces.map((piece) => piece.sha256)];
    const old = `used_ms = used_ms - ${20 * DAY_MS}`;
    const uses: (() => Promise<unknown>)[] = [
      () => missing([list.sha256], [list.sha256]),
      () => missing([list.sha256]),
      () => upload(list.text),
      () => putList(list),
    ];
    for (const use of uses) {
      await setRows(old, ...new Set(all));
      const before = Date.now();
      await use();
      expect((await rowOf(list.sha256))!.used_ms).toBeGreaterThanOrEqual(before);
      await expectPiecesAsUsed(list);
    }
  });

  // The sweep gives a list up before its pieces (decision 021).
  test("P14: that was given up to deletion is missing, and is not stored before its pieces are there again", async () => {
    const list = await stored("half deleted");
    await setRows(`deleting_until_ms = ${Date.now() + 60_000}`, list.sha256, list.pieces[2]!.sha256);
    expect(await missing([list.sha256], [list.sha256])).toEqual([list.sha256]);
    expect(await problem(await putList(list))).toMatchObject({ status: 409 });
  });

  test("P14: is answered 503 when a deletion of a piece begins while it comes", async () => {
    const [a, b] = [await upload("the first piece"), await upload("the last")];
    const list = await listOf([a, b]);
    let batches = 0;
    env.HISTORY = {
      prepare: (sql: string) => HISTORY.prepare(sql),
      batch: async (statements: D1PreparedStatement[]) => {
        if (++batches === 2) await setRows(`deleting_until_ms = ${Date.now() + 60_000}`, b.sha256);
        return await HISTORY.batch(statements);
      },
    } as unknown as D1Database;
    expect(await problem(await putList(list))).toMatchObject({ status: 503, code: "overloaded" });
    env.HISTORY = HISTORY;
    expect(await missing([list.sha256], [list.sha256])).toEqual([list.sha256]);
  });

  test("P14: that was being deleted is no list any more when its text comes again", async () => {
    const list = await stored("deleted");
    await setRows("deleting_until_ms = 1", list.sha256);
    await FILES.delete(`assets/${list.sha256}`);
    await upload(list.text);
    expect(await rowOf(list.sha256)).toMatchObject({ whole_size: null, pieces: null });
    expect(await missing([list.sha256], [list.sha256])).toEqual([list.sha256]);
  });

  test("P14: is missing when it was deleted, and its text came again, between the look-up and the refresh", async () => {
    const list = await stored("deleted meanwhile");
    await setRows(`used_ms = used_ms - ${2 * DAY_MS}`, list.sha256, ...list.pieces.map((piece) => piece.sha256));
    let batches = 0;
    env.HISTORY = {
      prepare: (sql: string) => HISTORY.prepare(sql),
      batch: async (statements: D1PreparedStatement[]) => {
        if (++batches === 2) {
          await setRows("deleting_until_ms = 1", list.sha256);
          const seen = [{ sha256: list.sha256, size: list.text.length, stored_ms: Date.now() }];
          await recordInputs(HISTORY, seen, Date.now());
          await setRows(`deleting_until_ms = ${Date.now() + 60_000}`, list.pieces[2]!.sha256);
        }
        return await HISTORY.batch(statements);
      },
    } as unknown as D1Database;
    expect(await missing([list.sha256], [list.sha256])).toEqual([list.sha256]);
  });

  test("P14: that was deleted is no list any more when a check without D1 has found its text again", async () => {
    const list = await stored("deleted, and noted");
    const pieces = [...new Set(list.pieces.map((piece) => piece.sha256))];
    const deleting_until_ms = Date.now() - 60_000;
    await setRows(`deleting_until_ms = ${deleting_until_ms}, deleted = 1`, list.sha256, ...pieces);
    await FILES.delete(pieces.map((piece) => `assets/${piece}`));
    env.HISTORY = failing(HISTORY, "all");
    expect(await missing([list.sha256])).toEqual([]);
    env.HISTORY = HISTORY;
    await cron();
    expect(await keys("used/")).toEqual([]);
    expect(await rowOf(list.sha256)).toMatchObject({ deleting_until_ms: null, whole_size: null, pieces: null });
    for (const piece of pieces) expect(await rowOf(piece)).toMatchObject({ deleting_until_ms });
    expect(await missing([list.sha256, ...pieces], [list.sha256])).toEqual([list.sha256, ...pieces]);
  });

  test("P14: is not noted late, after a later use of its text: its pieces would be older than it", async () => {
    const list = await listOf([await upload("late: the first piece"), await upload("late: the last")]);
    const noted = { sha256: list.sha256, size: list.text.length, pieces: list.pieces };
    const nowMs = Date.now();
    await upload(list.text);
    await setRows(`used_ms = ${nowMs + 3_600_000}`, list.sha256);
    expect(await recordPieceList(HISTORY, noted, nowMs, nowMs)).toBe(false);
    expect(await rowOf(list.sha256)).toMatchObject({ whole_size: null, pieces: null });
    expect(await recordPieceList(HISTORY, noted, nowMs, nowMs + 3_600_000)).toBe(true);
    await expectPiecesAsUsed(list);
  });
});

describe("P13: while D1 is down", () => {
  test("a list is taken and found, and the cron puts it with its pieces into the index", async () => {
    env.HISTORY = failing(HISTORY, "all");
    const list = await stored("without an index");
    expect(await missing([list.sha256, ...list.pieces.map((piece) => piece.sha256)], [list.sha256])).toEqual([]);
    env.HISTORY = HISTORY;
    await cron();
    expect(await keys("unindexed/")).toEqual([]);
    expect(JSON.parse((await rowOf(list.sha256))!.pieces!)).toHaveLength(3);
    await expectPiecesAsUsed(list);
    expect(await missing([list.sha256], [list.sha256])).toEqual([]);
    expect(await rowOf(list.sha256)).toMatchObject({ whole_size: (await rowOf(list.sha256))!.whole_size });
    expect((await rowOf(list.sha256))!.whole_size).toBeGreaterThan(0);
  });

  test("a list of which a piece is gone is missing, whatever its object says", async () => {
    const list = await stored("a piece is gone");
    await FILES.delete(`assets/${list.pieces[2]!.sha256}`);
    env.HISTORY = failing(HISTORY, "all");
    expect(await missing([list.sha256], [list.sha256])).toEqual([list.sha256]);
    expect(await missing([list.sha256])).toEqual([]);
  });

  test("more lists than are looked up are answered 503, and never called missing", async () => {
    const lists: List[] = [];
    for (let i = 0; i <= MAX_BATCH_FILES; i++) lists.push(await stored(`one of many ${i}`));
    env.HISTORY = failing(HISTORY, "all");
    const hashes = lists.map((list) => list.sha256);
    const answer = await post(findMissingAssets, { sha256: hashes, piece_lists: hashes });
    expect(await problem(answer)).toMatchObject({ status: 503, code: "overloaded" });
    expect(await missing(hashes.slice(1), hashes.slice(1))).toEqual([]);
  });
});

describe("an index that was lost", () => {
  test("P14: names the pieces of every list again, and a list is trusted only after its pieces were looked up", async () => {
    const [list, broken] = [await stored("whole"), await stored("broken")];
    await loseIndex(0);
    await FILES.delete(`assets/${broken.pieces[0]!.sha256}`);
    expect(await fillInputIndex(env, Date.now(), 1)).toBe(true);
    for (const one of [list, broken])
      expect(await rowOf(one.sha256)).toMatchObject({
        whole_size: null,
        pieces: JSON.stringify(one.pieces.map((piece) => piece.sha256)),
      });
    const both = [list.sha256, broken.sha256];
    expect(await missing(both, both)).toEqual([broken.sha256]);
    expect((await rowOf(list.sha256))!.whole_size).toBe(list.pieces.reduce((sum, { size }) => sum + size, 0));
    // The index alone: two statements in one call.
    const counted = new CountedCalls(env);
    Object.assign(env, counted.env);
    expect(await missing([list.sha256], [list.sha256])).toEqual([]);
    expect([counted.calls, counted.chain]).toEqual([2, 1]);
  });

  test("P14: a piece that had a row all the time is as new as the list that the fill brings back", async () => {
    const list = await stored("half known");
    const pieces = [...new Set(list.pieces.map((piece) => piece.sha256))];
    await setRows(`used_ms = used_ms - ${20 * DAY_MS}`, ...pieces);
    await HISTORY.prepare("DELETE FROM inputs WHERE sha256 = ?").bind(list.sha256).run();
    await HISTORY.prepare("UPDATE inputs_fill SET after = '', complete = 0").run();
    await fillInputIndex(env, Date.now(), 1);
    await expectPiecesAsUsed(list);
  });

  test("P4: is filled also where one page of the bucket has very many lists", async () => {
    const [a, b] = [await upload("first"), await upload("last")];
    const lists = await Promise.all(
      Array.from({ length: 120 }, (_, i) => listOf([...Array.from({ length: i + 1 }, () => a), b])),
    );
    for (const { sha256: hash, pieces } of lists)
      expect((await takePieceList(env, hash, pieces, Date.now)).ok).toBe(true);
    await loseIndex(0);
    expect(await fillInputIndex(env, Date.now(), 1)).toBe(false);
    let runs = 1;
    while (!(await fillInputIndex(env, Date.now(), 1))) runs++;
    // Ten lists are read at a time.
    expect(runs).toBeLessThan(15);
    for (const { sha256: hash, pieces } of lists)
      expect(JSON.parse((await rowOf(hash))!.pieces!)).toHaveLength(pieces.length);
    const hashes = lists.map((list) => list.sha256);
    const sizes = await sizesOfInputs(env, hashes.slice(0, 24), Date.now, new Set(hashes));
    expect(sizes.ok && [...sizes.value.values()].every(({ whole }) => whole! > 0)).toBe(true);
  });
});
