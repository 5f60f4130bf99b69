/**
 * The index of inputs: what is in it and when, and what is said of an input while it lacks
 * something, cannot be asked, or knows of a deletion. On D1 and R2 as workerd has them.
 */
import { createScheduledController } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fillInputIndex } from "../../src/files/fill-input-index.ts";
import { putAssets } from "../../src/http/routes/asset-batch.ts";
import { assembleAsset, findMissingAssets, putAsset, putAssetPart } from "../../src/http/routes/assets.ts";
import worker from "../../src/index.ts";
import { batchList, MAX_BATCH_FILES } from "../../src/protocol/asset-batch.ts";
import { assetsStoredSchema, missingResultSchema } from "../../src/protocol/file.ts";
import { env, keys, post, problem, put, sha256, text } from "./files-call.ts";
import { CountedCalls, failing, hashOfNumber, VirtualBucket } from "./input-storage.ts";

const DAY_MS = 86_400_000;
const REAL = { ...env };
const { FILES, HISTORY } = REAL;

interface Row {
  sha256: string;
  size: number;
  stored_ms: number;
  used_ms: number;
  deleting_until_ms: number | null;
}

async function rows(): Promise<Row[]> {
  return (await HISTORY.prepare("SELECT * FROM inputs ORDER BY sha256").all<Row>()).results;
}

async function rowOf(hash: string): Promise<Row | undefined> {
  return (await rows()).find((row) => row.sha256 === hash);
}

async function setRow(hash: string, columns: string): Promise<void> {
  await HISTORY.prepare(`UPDATE inputs SET ${columns} WHERE sha256 = ?`).bind(hash).run();
}

async function setFill(complete: 0 | 1): Promise<void> {
  await HISTORY.prepare("UPDATE inputs_fill SET after = '', complete = ?").bind(complete).run();
}

async function missing(hashes: readonly string[]): Promise<string[]> {
  const answer = await post(findMissingAssets, { sha256: hashes });
  expect(answer.status).toBe(200);
  return missingResultSchema.parse(await answer.json()).missing;
}

/** Upload a text; answers with its hash. */
async function upload(content: string): Promise<string> {
  const hash = await sha256(text(content));
  expect((await put(putAsset, text(content), { params: { sha256: hash } })).status).toBeLessThan(300);
  return hash;
}

/** Store an input in the bucket alone: as an earlier release does, or a Worker that dies then. */
async function storeAlone(content: string): Promise<string> {
  const hash = await sha256(text(content));
  await FILES.put(`assets/${hash}`, content, { customMetadata: { sha256: hash } });
  return hash;
}

async function uploadBatch(contents: readonly string[]): Promise<{ hashes: string[]; statuses: number[] }> {
  const files = await Promise.all(
    contents.map(async (content) => ({ sha256: await sha256(text(content)), size: text(content).length })),
  );
  const headers = { "Tablao-Assets": batchList(files) };
  const answer = await put(putAssets, text(contents.join("")), { method: "POST", headers });
  expect(answer.status).toBe(200);
  const { assets } = assetsStoredSchema.parse(await answer.json());
  return { hashes: files.map((file) => file.sha256), statuses: assets.map(({ status }) => status) };
}

async function cron(): Promise<void> {
  await worker.scheduled(createScheduledController({ scheduledTime: new Date() }), env);
}

beforeEach(async () => {
  for (const prefix of ["assets/", "unindexed/"]) {
    const there = await keys(prefix);
    if (there.length > 0) await FILES.delete(there);
  }
  await HISTORY.prepare("DELETE FROM inputs").run();
  await setFill(1);
});

afterEach(() => Object.assign(env, REAL));

describe("an input", () => {
  test("is in the index when its upload is answered, whichever way it came", async () => {
    const before = Date.now();
    const single = await upload("one request");
    const { hashes, statuses } = await uploadBatch(["first of a batch", "", "third"]);
    expect(statuses).toEqual([201, 201, 201]);
    const inParts = await sha256(text("in parts"));
    const params = { sha256: inParts };
    const part = { params: { ...params, n: "1" }, headers: { "Tablao-SHA256": inParts } };
    expect((await put(putAssetPart, text("in parts"), part)).status).toBe(204);
    expect((await post(assembleAsset, { size: 8, sha256: inParts }, { params })).status).toBe(201);

    const all = await rows();
    expect(new Map(all.map((row) => [row.sha256, row.size]))).toEqual(
      new Map([
        [single, 11],
        [hashes[0], 16],
        [hashes[1], 0],
        [hashes[2], 5],
        [inParts, 8],
      ]),
    );
    for (const { stored_ms, used_ms } of all) {
      expect(stored_ms).toBeLessThanOrEqual(used_ms);
      expect(stored_ms).toBeGreaterThanOrEqual(before);
    }
  });

  test("costs one written row; a batch of them is one statement", async () => {
    const counted = new CountedCalls(env);
    Object.assign(env, counted.env);
    await uploadBatch(Array.from({ length: MAX_BATCH_FILES }, (_, i) => `counted ${i}`));
    expect([counted.calls, counted.d1RowsWritten]).toEqual([MAX_BATCH_FILES + 1, MAX_BATCH_FILES]);
  });

  test("that is asked about writes nothing, and once a day that it is used", async () => {
    const old = await upload("asked about after a week");
    const fresh = await upload("asked about at once");
    await setRow(old, `used_ms = used_ms - ${7 * DAY_MS}`);
    const written = async (): Promise<number> => {
      const counted = new CountedCalls(env);
      Object.assign(env, counted.env);
      expect(await missing([old, fresh])).toEqual([]);
      Object.assign(env, REAL);
      return counted.d1RowsWritten;
    };
    const before = await rowOf(fresh);
    expect([await written(), await written()]).toEqual([1, 0]);
    const row = (await rowOf(old))!;
    expect(row.used_ms - row.stored_ms).toBeGreaterThanOrEqual(0);
    expect(await rowOf(fresh)).toEqual(before);
  });

  test("P4: that was stored by a Worker that died before the index had it is found, and put into it", async () => {
    const hash = await storeAlone("stored, and then the Worker died");
    const absent = await sha256(text("never sent"));
    expect(await missing([hash, absent])).toEqual([absent]);
    expect(await rowOf(hash)).toMatchObject({ size: 32 });
    const counted = new CountedCalls(env);
    Object.assign(env, counted.env);
    expect(await missing([hash])).toEqual([]);
    // The index alone: two statements in one call.
    expect([counted.calls, counted.chain]).toEqual([2, 1]);
  });
});

describe("P13: while D1 is", () => {
  const contents = Array.from({ length: MAX_BATCH_FILES * 2 }, (_, i) => `stored while D1 fails: ${i}`);
  const uploadAll = async (): Promise<string[]> => {
    const hashes: string[] = [];
    for (let from = 0; from < contents.length; from += MAX_BATCH_FILES) {
      const sent = await uploadBatch(contents.slice(from, from + MAX_BATCH_FILES));
      expect(new Set(sent.statuses)).toEqual(new Set([201]));
      hashes.push(...sent.hashes);
    }
    return hashes;
  };

  test("down, uploads are taken and found, and are in the index when the cron has run", async () => {
    env.HISTORY = failing(HISTORY, "all");
    const hashes = await uploadAll();
    expect(await missing([...hashes, hashOfNumber(1)])).toEqual([hashOfNumber(1)]);
    expect(await keys("unindexed/")).toHaveLength(hashes.length);
    // The cron finds D1 as it is, and says so.
    await expect(cron()).rejects.toThrow("index of inputs:");
    expect(await keys("unindexed/")).toHaveLength(hashes.length);

    env.HISTORY = HISTORY;
    expect(await missing(hashes)).toEqual([]);
    await cron();
    expect(await keys("unindexed/")).toEqual([]);
    expect((await rows()).map((row) => row.sha256)).toEqual(hashes.toSorted());
    expect((await rows()).every(({ size }) => size >= 24)).toBe(true);
  });

  test("full, the same: the markers are enough, and R2 is not asked for each file", async () => {
    env.HISTORY = failing(HISTORY, "writes");
    const hashes = await uploadAll();
    const counted = new CountedCalls(env);
    Object.assign(env, counted.env);
    const more = Array.from({ length: 100 }, (_, i) => hashOfNumber(i));
    expect(await missing([...hashes, ...more])).toEqual(more);
    // Two statements, and one page of markers.
    expect(counted.calls).toBe(3);
  });

  test("down and R2, too, an upload is answered 503: nobody would know of it", async () => {
    env.HISTORY = failing(HISTORY, "all");
    env.FILES = new Proxy(FILES, {
      get: (target, name) => {
        if (name !== "put") return (target[name as keyof R2Bucket] as () => unknown).bind(target);
        return async (key: string, ...rest: [Uint8Array, R2PutOptions]) => {
          if (key.startsWith("unindexed/")) throw new Error("put: Unspecified error (0)");
          return await target.put(key, ...rest);
        };
      },
    });
    const hash = await sha256(text("nowhere noted"));
    const answer = await put(putAsset, text("nowhere noted"), { params: { sha256: hash } });
    expect(await problem(answer)).toMatchObject({ status: 503, code: "overloaded" });
  });

  test("well and R2 is down, what is missing cannot be known, and is answered 503", async () => {
    const here = await upload("R2 will be down");
    env.FILES = new Proxy(FILES, {
      get: () => async () => {
        throw new Error("head: Unspecified error (0)");
      },
    });
    expect(await missing([here])).toEqual([]);
    const answer = await post(findMissingAssets, { sha256: [here, hashOfNumber(1)] });
    expect(await problem(answer)).toMatchObject({ status: 503, code: "overloaded" });
  });
});

describe("an input that a sweep is deleting", () => {
  const content = "about to be deleted";

  test("P14: counts as missing while the deletion may run, and its upload is answered 503, alone or in a batch", async () => {
    const hash = await upload(content);
    await setRow(hash, `deleting_until_ms = ${Date.now() + 60_000}`);
    // It is still in the bucket, but may be gone in a moment.
    expect(await missing([hash])).toEqual([hash]);
    const again = await put(putAsset, text(content), { params: { sha256: hash } });
    expect(await problem(again)).toMatchObject({ status: 503, code: "overloaded" });
    expect((await uploadBatch(["beside it", content])).statuses).toEqual([201, 503]);
    await setFill(0);
    await fillInputIndex(env, Date.now(), 10);
    expect((await rowOf(hash))!.deleting_until_ms).not.toBeNull();
  });

  test("P14: counts as missing also when the deletion begins between its look-up and the note that it is used", async () => {
    const [old, other] = [await upload(content), await upload("as old, and not deleted")];
    for (const hash of [old, other]) await setRow(hash, `used_ms = used_ms - ${30 * DAY_MS}`);
    let batches = 0;
    env.HISTORY = {
      prepare: (sql: string) => HISTORY.prepare(sql),
      batch: async (statements: D1PreparedStatement[]) => {
        if (++batches === 2) await setRow(old, `deleting_until_ms = ${Date.now() + 60_000}`);
        return await HISTORY.batch(statements);
      },
    } as unknown as D1Database;
    expect(await missing([old, other])).toEqual([old]);
    expect(batches).toBe(2);
  });

  test("P14: is asked of R2 again when the time of its deletion is over, so that no upload waits for ever", async () => {
    const [stays, gone] = [await upload(content), await upload("deleted, and its row is left")];
    for (const hash of [stays, gone]) await setRow(hash, "deleting_until_ms = 1");
    await FILES.delete(`assets/${gone}`);
    expect(await missing([stays, gone])).toEqual([gone]);
    expect(await rowOf(stays)).toMatchObject({ deleting_until_ms: null });
    await upload("deleted, and its row is left");
    expect(await rowOf(gone)).toMatchObject({ deleting_until_ms: null });
    expect(await missing([stays, gone])).toEqual([]);
  });
});

describe("a farm that had no index", () => {
  test("P4: has the inputs of earlier releases: the first question completes the index of a small farm", async () => {
    await setFill(0);
    const old = await Promise.all(Array.from({ length: 60 }, (_, i) => storeAlone(`of an earlier release ${i}`)));
    expect(await missing([...old, hashOfNumber(1)])).toEqual([hashOfNumber(1)]);
    expect((await rows()).map((row) => row.sha256)).toEqual(old.toSorted());
    const counted = new CountedCalls(env);
    Object.assign(env, counted.env);
    expect(await missing(old)).toEqual([]);
    expect(counted.calls).toBe(2);
  });

  test("P4: of any size is filled page by page, and an interrupted fill goes on from where it was", async () => {
    await setFill(0);
    const { bucket } = new VirtualBucket(3_500);
    const storage = { FILES: bucket, HISTORY };
    expect(await fillInputIndex(storage, 1, 1)).toBe(false);
    expect(await rows()).toHaveLength(1_000);
    // D1 fails before the second page, and after the third is written.
    await expect(fillInputIndex({ ...storage, HISTORY: failing(HISTORY, "writes") }, 1, 1)).rejects.toThrow("DB size");
    const losing = {
      prepare: (sql: string) => HISTORY.prepare(sql),
      batch: async (statements: D1PreparedStatement[]) => {
        const results = await HISTORY.batch(statements);
        if (statements.length > 1) throw new Error("D1_ERROR: the answer was lost");
        return results;
      },
    } as unknown as D1Database;
    await expect(fillInputIndex({ ...storage, HISTORY: losing }, 1, 1)).rejects.toThrow("was lost");
    expect(await rows()).toHaveLength(2_000);
    expect(await fillInputIndex(storage, 1, 10)).toBe(true);
    const all = await rows();
    expect(all.map((row) => row.sha256)).toEqual(Array.from({ length: 3_500 }, (_, i) => hashOfNumber(i)));
    expect(all[0]).toMatchObject({ size: 10, stored_ms: 1_700_000_000_000, used_ms: 1 });
    expect(await fillInputIndex(storage, 1, 10)).toBe(true);
  });

  test("P4: is filled by two runs at once as by one", async () => {
    await setFill(0);
    const storage = { FILES: new VirtualBucket(4_200).bucket, HISTORY };
    const runs = [1, 2, 3].map(() => fillInputIndex(storage, 1, 10));
    expect(await Promise.all(runs)).toEqual([true, true, true]);
    expect(await rows()).toHaveLength(4_200);
  });

  test("that is large is asked in R2 until its index is complete, and what is found is not asked again", async () => {
    await setFill(0);
    const virtual = new VirtualBucket(200_000);
    env.FILES = virtual.bucket;
    const wanted = Array.from({ length: 900 }, (_, i) => virtual.sha256(100_000 + i * 100));
    expect(await missing([...wanted, virtual.sha256(200_000)])).toEqual([virtual.sha256(200_000)]);
    // One page for the index, and one that shows that listing does not pay.
    expect([virtual.lists, virtual.heads > 850]).toEqual([2, true]);
    virtual.heads = 0;
    expect(await missing(wanted)).toEqual([]);
    expect(virtual.heads).toBe(0);
  });

  test("P4: whose schema is older than its code works as before", async () => {
    await HISTORY.prepare("ALTER TABLE inputs RENAME TO inputs_of_a_later_schema").run();
    try {
      const hash = await upload("before the migration");
      expect(await missing([hash, hashOfNumber(1)])).toEqual([hashOfNumber(1)]);
    } finally {
      await HISTORY.prepare("ALTER TABLE inputs_of_a_later_schema RENAME TO inputs").run();
    }
  });
});
