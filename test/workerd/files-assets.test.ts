/** Assets and their parts through the handlers, on R2 as workerd has it. */
import { createScheduledController } from "cloudflare:test";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { storeBatch } from "../../src/files/batch.ts";
import { lookInBucket, MAX_HEADS } from "../../src/files/bucket-look-up.ts";
import { assemble } from "../../src/files/parts.ts";
import { sweepStaleUploads } from "../../src/files/sweep.ts";
import { STALE_UPLOAD_MS } from "../../src/files/upload-record.ts";
import { putAssets } from "../../src/http/routes/asset-batch.ts";
import {
  assembleAsset,
  findMissingAssets,
  getAsset,
  listAssetParts,
  putAsset,
  putAssetPart,
} from "../../src/http/routes/assets.ts";
import worker from "../../src/index.ts";
import { batchList, MAX_BATCH_BYTES, MAX_BATCH_FILES } from "../../src/protocol/asset-batch.ts";
import { assetsStoredSchema, MAX_PUT_BYTES, PART_BYTES } from "../../src/protocol/file.ts";
import { call, env, keys, post, problem, put, sha256, text, type Call } from "./files-call.ts";

describe("assets", () => {
  test("are stored once, under their hash, and are answered whole, in ranges, or as not modified", async () => {
    const bytes = text("a texture");
    const sha = await sha256(bytes);
    const params = { sha256: sha };
    const first = await put(putAsset, bytes, { params });
    expect([first.status, await first.json()]).toEqual([201, { sha256: sha, size: 9 }]);
    expect((await put(putAsset, bytes, { params })).status).toBe(200);

    const whole = await call(getAsset, { params });
    expect([whole.status, await whole.text(), whole.headers.get("ETag")]).toEqual([200, "a texture", `"${sha}"`]);
    expect([whole.headers.get("Content-Length"), whole.headers.get("X-Content-Type-Options")]).toEqual([
      "9",
      "nosniff",
    ]);

    const part = await call(getAsset, { params, headers: { Range: "bytes=2-5" } });
    expect([
      part.status,
      await part.text(),
      part.headers.get("Content-Range"),
      part.headers.get("Content-Length"),
    ]).toEqual([206, "text", "bytes 2-5/9", "4"]);
    expect((await call(getAsset, { params, headers: { Range: "bytes=2-5", "If-Range": '"other"' } })).status).toBe(200);

    const beyond = await call(getAsset, { params, headers: { Range: "bytes=9-" } });
    expect([beyond.headers.get("Content-Range"), await problem(beyond)]).toEqual([
      "bytes */9",
      { status: 416, code: "range_not_satisfiable", fields: [] },
    ]);
    expect((await call(getAsset, { params, headers: { "If-None-Match": `"${sha}"` } })).status).toBe(304);
    const head = await call(getAsset, { params, method: "HEAD" });
    expect([head.status, head.headers.get("Content-Length"), await head.text()]).toEqual([200, "9", ""]);
  });

  test("may be empty", async () => {
    const sha = await sha256(text(""));
    expect((await put(putAsset, text(""), { params: { sha256: sha } })).status).toBe(201);
    const back = await call(getAsset, { params: { sha256: sha } });
    expect([back.status, await back.text()]).toEqual([200, ""]);
  });

  test("P10: other bytes than the hash, other lengths, and no length are refused, and nothing is stored", async () => {
    const sha = await sha256(text("the right bytes"));
    const params = { sha256: sha };
    expect(await problem(await put(putAsset, text("the wrong bytes"), { params }))).toEqual({
      status: 422,
      code: "invalid",
      fields: ["sha256"],
    });
    for (const length of ["14", "16"]) {
      const response = await put(putAsset, text("the right bytes"), { params, headers: { "Content-Length": length } });
      expect(await problem(response), length).toMatchObject({ status: 400, code: "invalid_request" });
    }
    expect(await problem(await call(putAsset, { params, body: "the right bytes" }))).toMatchObject({
      status: 411,
      code: "length_required",
    });
    const large = await put(putAsset, text("x"), { params, headers: { "Content-Length": String(MAX_PUT_BYTES + 1) } });
    expect(await problem(large)).toMatchObject({ status: 413, code: "too_large" });
    expect(await problem(await put(putAsset, text("x"), { params: { sha256: "../x" } }))).toEqual({
      status: 422,
      code: "invalid",
      fields: ["sha256"],
    });
    expect(await problem(await call(getAsset, { params }))).toMatchObject({ status: 404 });
    expect(await keys(`assets/${sha}`)).toEqual([]);
  });

  test("a body that breaks off stores nothing", async () => {
    const sha = await sha256(text("0123456789"));
    let sent = false;
    const body = new ReadableStream({
      pull(controller) {
        if (sent) controller.error(new Error("the network went away"));
        else controller.enqueue(text("01234"));
        sent = true;
      },
    });
    const response = await call(putAsset, { params: { sha256: sha }, body, headers: { "Content-Length": "10" } });
    expect(await problem(response)).toMatchObject({ status: 400, code: "invalid_request" });
    expect(await keys(`assets/${sha}`)).toEqual([]);
  });

  test("missing ones are listed apart from those that are stored, in order and once", async () => {
    const here = await sha256(text("here"));
    await put(putAsset, text("here"), { params: { sha256: here } });
    const absent = Array.from({ length: 45 }, (_, i) => i.toString(16).padStart(64, "0"));
    const response = await post(findMissingAssets, {
      sha256: [...absent.slice(0, 30), here, ...absent.slice(30), absent[0]],
    });
    expect(await response.json()).toEqual({ missing: absent });
    expect(await problem(await post(findMissingAssets, { sha256: ["abc"] }))).toEqual({
      status: 422,
      code: "invalid",
      fields: ["sha256.0"],
    });
  });
});

describe("a batch of assets", () => {
  interface Announced {
    sha256: string;
    size: number;
    bytes: Uint8Array<ArrayBuffer>;
  }

  async function named(...contents: (string | Uint8Array<ArrayBuffer>)[]): Promise<Announced[]> {
    return await Promise.all(
      contents.map(async (content) => {
        const bytes = typeof content === "string" ? text(content) : content;
        return { sha256: await sha256(bytes), size: bytes.length, bytes };
      }),
    );
  }

  function joined(files: readonly Announced[]): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(files.reduce((sum, { bytes }) => sum + bytes.length, 0));
    let at = 0;
    for (const { bytes } of files) {
      all.set(bytes, at);
      at += bytes.length;
    }
    return all;
  }

  async function sendBatch(files: readonly Announced[], headers: Record<string, string> = {}): Promise<Response> {
    const all = { "Tablao-Assets": batchList(files), ...headers };
    return await put(putAssets, joined(files), { method: "POST", headers: all });
  }

  async function statuses(response: Response): Promise<number[]> {
    expect(response.status).toBe(200);
    return assetsStoredSchema.parse(await response.json()).assets.map(({ status }) => status);
  }

  async function contentOf({ sha256: hash }: Announced): Promise<string | null> {
    return (await (await env.FILES.get(`assets/${hash}`))?.text()) ?? null;
  }

  /** A body that arrives in these pieces, and breaks off after them where `broken`. */
  function inPieces(pieces: readonly Uint8Array<ArrayBuffer>[], broken = false): ReadableStream {
    const left = pieces.values();
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        const next = left.next();
        if (!next.done) return controller.enqueue(next.value);
        if (broken) return controller.error(new Error("the network went away"));
        controller.close();
        controller.byobRequest?.respond(0);
      },
    });
  }

  test("is stored file by file, empty ones too; sent again, all of it is there", async () => {
    const files = await named("batch: one", "", "batch: three");
    await env.FILES.delete(`assets/${files[1]!.sha256}`);
    const first = await sendBatch(files);
    expect(await first.json()).toEqual({
      assets: files.map(({ sha256: hash, size }) => ({ sha256: hash, size, status: 201 })),
    });
    expect(await Promise.all(files.map(contentOf))).toEqual(["batch: one", "", "batch: three"]);
    expect(await statuses(await sendBatch([...files, ...(await named("batch: four"))]))).toEqual([200, 200, 200, 201]);
    const whole = await call(getAsset, { params: { sha256: files[0]!.sha256 } });
    expect([whole.status, await whole.text()]).toEqual([200, "batch: one"]);
  });

  test("P10: a file whose bytes do not match its hash is refused by its position and not stored; the others are", async () => {
    const files = await named("batch: good", "batch: bad!", "batch: also good");
    files[1]!.bytes = text("batch: evil");
    const response = await sendBatch(files);
    const { assets } = assetsStoredSchema.parse(await response.json());
    expect(assets.map(({ status }) => status)).toEqual([201, 422, 201]);
    expect(assets[1]!.problem).toMatchObject({ code: "invalid", status: 422, errors: [{ field: "Tablao-Assets.1" }] });
    expect(await Promise.all(files.map(contentOf))).toEqual(["batch: good", null, "batch: also good"]);
  });

  test("a name that is taken by other content, and a storage failure, affect only their own file", async () => {
    const files = await named("batch: a", "batch: taken", "batch: unlucky", "batch: unknown");
    const [, taken, unlucky, unknown] = files;
    await env.FILES.put(`assets/${unknown!.sha256}`, "it is there");
    await env.FILES.put(`assets/${taken!.sha256}`, "other", { customMetadata: { sha256: "0".repeat(64) } });
    let most = 0;
    let now = 0;
    const bucket = new Proxy(env.FILES, {
      get: (real, name) => {
        if (name === "head")
          return async (key: string) => {
            if (key.endsWith(unknown!.sha256)) throw new Error("head: Unspecified error (0)");
            return await real.head(key);
          };
        if (name !== "put") return (real[name as keyof R2Bucket] as () => unknown).bind(real);
        return async (key: string, ...rest: [Uint8Array, R2PutOptions]) => {
          most = Math.max(most, ++now);
          await scheduler.wait(5);
          now--;
          if (key.endsWith(unlucky!.sha256)) throw new Error("put: Unspecified error (0)");
          return await real.put(key, ...rest);
        };
      },
    });
    const more = await named(...Array.from({ length: 16 }, (_, i) => `batch: more ${i}`));
    const all = [...files, ...more];
    const uploads = all.map(({ sha256: hash, size }) => ({
      key: `assets/${hash}`,
      sha256: hash,
      size,
      hashField: "x",
    }));
    const stored = await storeBatch(bucket, new Blob([joined(all)]).stream(), uploads);
    expect(stored.ok && stored.value.slice(0, 4).map((one) => (one.ok ? one.value.created : one.error.code))).toEqual([
      true,
      "conflict",
      "overloaded",
      "overloaded",
    ]);
    expect(await Promise.all(more.map(contentOf))).toEqual(more.map((_, i) => `batch: more ${i}`));
    // Six: the number of connections that a Worker may have open.
    expect(most).toBe(6);
  });

  test("P10: an error in the list or the lengths is answered before anything is read or stored", async () => {
    const files = await named("batch: never 1", "batch: never 2");
    const before = await keys("assets/");
    const list = batchList(files);
    const many = await named(...Array.from({ length: MAX_BATCH_FILES + 1 }, (_, i) => `batch: never, many ${i}`));
    const refused = async (headers: Record<string, string>, some = files) =>
      await problem(await sendBatch(some, headers));
    const invalid = (...fields: string[]) => ({ status: 422, code: "invalid", fields });
    expect(await refused({ "Tablao-Assets": "" })).toEqual(invalid("Tablao-Assets"));
    expect(await refused({ "Tablao-Assets": `${list},../x:1` })).toEqual(invalid("Tablao-Assets.2"));
    expect(await refused({ "Tablao-Assets": list.toUpperCase() })).toEqual(
      invalid("Tablao-Assets.0", "Tablao-Assets.1"),
    );
    expect(await refused({}, [files[0]!, files[0]!])).toEqual(invalid("Tablao-Assets.1"));
    expect(await refused({}, many)).toEqual(invalid("Tablao-Assets"));
    expect(await refused({ "Content-Length": "27" })).toEqual(invalid("Tablao-Assets"));
    expect(await refused({ "Content-Length": String(MAX_BATCH_BYTES + 1) })).toMatchObject({ status: 413 });
    expect(await refused({ "Content-Length": "-1" })).toMatchObject({ status: 400, fields: ["Content-Length"] });
    expect(await refused({ "Content-Encoding": "gzip" })).toMatchObject({ status: 415 });
    const unmeasured = await call(putAssets, { body: joined(files), headers: { "Tablao-Assets": list } });
    expect(await problem(unmeasured)).toMatchObject({ status: 411, code: "length_required" });
    const unlisted = await call(putAssets, { body: joined(files), headers: { "Content-Length": "28" } });
    expect(await problem(unlisted)).toEqual(invalid("Tablao-Assets"));
    const nothing = await call(putAssets, {
      method: "POST",
      headers: { "Content-Length": "28", "Tablao-Assets": list },
    });
    expect(await problem(nothing)).toMatchObject({ status: 400, code: "invalid_request" });
    expect(await keys("assets/")).toEqual(before);
  });

  test("a body that breaks off, or ends early, stores the files that had come whole, and nothing of the next", async () => {
    for (const broken of [true, false]) {
      const large = new Uint8Array(600_000).fill(broken ? 1 : 2);
      const files = await named(large, `batch: half ${broken}`, `batch: never ${broken}`);
      const [first, second] = files;
      const headers = { "Content-Length": String(joined(files).length), "Tablao-Assets": batchList(files) };
      const body = inPieces([first!.bytes, second!.bytes.slice(0, 4)], broken);
      const response = await call(putAssets, { body, headers });
      const { detail } = await response.clone().json<{ detail: string }>();
      expect(await problem(response)).toMatchObject({ status: 400, code: "invalid_request" });
      expect(detail).toBe("The body broke off when 1 of its 3 files was stored; send it again.");
      expect(await sha256(new Uint8Array(await (await env.FILES.get(`assets/${first!.sha256}`))!.arrayBuffer()))).toBe(
        first!.sha256,
      );
      expect(await Promise.all(files.slice(1).map(contentOf))).toEqual([null, null]);
    }
  });

  test("gives the same files however its bytes are cut on the way", async () => {
    const size = fc.oneof(
      { weight: 9, arbitrary: fc.nat({ max: 3_000 }) },
      { weight: 1, arbitrary: fc.nat({ max: 170_000 }) },
    );
    const sizes = fc.array(size, { minLength: 1, maxLength: MAX_BATCH_FILES });
    let runs = 0;
    const property = fc.asyncProperty(sizes, fc.array(fc.integer({ min: 1, max: 4_000 })), async (lengths, cuts) => {
      runs++;
      const files = await named(
        ...lengths.map((length, i) => new Uint8Array(length).fill(runs).fill(i, 0, length >> 1)),
      );
      const once = [...new Map(files.map((file) => [file.sha256, file])).values()];
      const all = joined(once);
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      for (let at = 0, i = 0; at < all.length; i++) {
        const to = at + (cuts[i] ?? 10_000);
        pieces.push(all.slice(at, to));
        at = to;
      }
      const headers = { "Content-Length": String(all.length), "Tablao-Assets": batchList(once) };
      for (const status of await statuses(await call(putAssets, { body: inPieces(pieces), headers })))
        expect([200, 201]).toContain(status);
      for (const { sha256: hash, bytes } of once)
        expect(new Uint8Array(await (await env.FILES.get(`assets/${hash}`))!.arrayBuffer())).toEqual(bytes);
    });
    await fc.assert(property, { numRuns: 40 });
  });
});

describe("which assets a bucket holds", () => {
  /** Answers as R2 does, with these keys only; `asked` counts the calls. */
  function bucketOf(
    keysThere: string[],
    pageSize = 1_000,
  ): { bucket: R2Bucket; asked: { lists: number; heads: number } } {
    const there = keysThere.toSorted();
    const asked = { lists: 0, heads: 0 };
    const bucket = {
      head: async (key: string) => (asked.heads++, there.includes(key) ? { key, size: 7 } : null),
      list: async ({ prefix, startAfter }: { prefix: string; startAfter: string }) => {
        asked.lists++;
        const found = there.filter((key) => key.startsWith(prefix) && key > startAfter);
        const objects = found.slice(0, pageSize).map((key) => ({ key, size: 7 }));
        return { objects, truncated: found.length > pageSize };
      },
    };
    return { bucket: bucket as unknown as R2Bucket, asked };
  }
  const numbered = (n: number, step = 1) =>
    Array.from({ length: n }, (_, i) => `assets/${(i * step).toString(16).padStart(64, "0")}`);
  const hashOf = (key: string): string => key.slice("assets/".length);
  const missingKeys = async (bucket: R2Bucket, wanted: readonly string[]): Promise<string[]> => {
    const { sizes, undecided } = await lookInBucket(bucket, "assets/", wanted.map(hashOf));
    expect([undecided, [...sizes.values()].every(({ size }) => size === 7)]).toEqual([0, true]);
    return wanted.filter((key) => !sizes.has(hashOf(key)));
  };

  test("one page of a listing answers for a thousand where the bucket holds few", async () => {
    const { bucket, asked } = bucketOf(["assets/zz", "parts/x", ...numbered(400, 2)]);
    expect(await missingKeys(bucket, numbered(1_000))).toEqual(
      numbered(1_000).filter((_, i) => i % 2 === 1 || i >= 800),
    );
    expect(asked).toEqual({ lists: 1, heads: 0 });
  });

  test("further pages are read while each answers many keys; the rest is asked one by one", async () => {
    // 400 neighbouring keys, then every hundredth key.
    const wanted = [...numbered(400), ...numbered(1_000, 100).slice(5)].toReversed();
    const { bucket, asked } = bucketOf(numbered(30_000).filter((_, i) => i % 3 > 0));
    const there = new Set(numbered(30_000).filter((_, i) => i % 3 > 0));
    expect(await missingKeys(bucket, wanted)).toEqual(wanted.filter((key) => !there.has(key)));
    expect(asked).toEqual({ lists: 2, heads: wanted.length - 400 - 10 - 15 });
  });

  test("few keys are asked one by one, and so are all where a bucket's list is empty", async () => {
    const few = bucketOf(numbered(100));
    expect(await missingKeys(few.bucket, numbered(39))).toEqual([]);
    expect(few.asked).toEqual({ lists: 0, heads: 39 });
    const odd = bucketOf(numbered(100), 0);
    expect(await missingKeys(odd.bucket, numbered(100))).toEqual([]);
    expect(odd.asked).toEqual({ lists: 1, heads: 100 });
  });

  test("more than a request may look up one by one are left, and said to be", async () => {
    const { bucket, asked } = bucketOf(numbered(4_000), 0);
    const found = await lookInBucket(bucket, "assets/", numbered(MAX_HEADS + 300).map(hashOf));
    expect([found.sizes.size, found.undecided, asked.heads]).toEqual([MAX_HEADS, 300, MAX_HEADS]);
  });
});

describe("parts", () => {
  const big = new Uint8Array(2 * PART_BYTES + 1_000_003);
  let sha = "";
  let params: Record<string, string> = {};
  const part = (n: number) => big.slice((n - 1) * PART_BYTES, n * PART_BYTES);

  async function send(n: number, bytes = part(n)): Promise<Response> {
    return await put(putAssetPart, bytes, {
      params: { ...params, n: String(n) },
      headers: { "Tablao-SHA256": await sha256(bytes) },
    });
  }

  beforeAll(async () => {
    for (let i = 0; i < big.length; i += 4_093) big[i] = (i * 31) & 255;
    sha = await sha256(big);
    params = { sha256: sha };
  });

  test("an upload that was cut resumes with its missing parts and becomes the whole file, once", async () => {
    expect((await send(1)).status).toBe(204);
    expect((await send(3)).status).toBe(204);
    const cut = await put(putAssetPart, part(2).slice(0, 999), {
      params: { ...params, n: "2" },
      headers: { "Content-Length": String(PART_BYTES), "Tablao-SHA256": await sha256(part(2)) },
    });
    expect(await problem(cut)).toMatchObject({ status: 400 });

    const early = await post(assembleAsset, { size: big.length, sha256: sha }, { params });
    expect(await problem(early)).toMatchObject({ status: 409, code: "conflict" });
    const listed = await (await call(listAssetParts, { params })).json();
    expect(listed).toEqual({
      parts: [
        { number: 1, size: PART_BYTES, sha256: await sha256(part(1)) },
        { number: 3, size: 1_000_003, sha256: await sha256(part(3)) },
      ],
      part_bytes: PART_BYTES,
    });

    expect((await send(2)).status).toBe(204);
    const done = await post(assembleAsset, { size: big.length, sha256: sha }, { params });
    expect([done.status, await done.json()]).toEqual([201, { sha256: sha, size: big.length }]);
    expect((await post(assembleAsset, { size: big.length, sha256: sha }, { params })).status).toBe(200);
    // No upload is under way any more, and the parts are stored once.
    expect([await keys("uploads/"), (await keys(`parts/assets/${sha}/`)).length]).toEqual([[], 3]);
    expect(await (await call(listAssetParts, { params })).json()).toMatchObject({ parts: [] });

    const across = await call(getAsset, { params, headers: { Range: `bytes=${PART_BYTES - 2}-${PART_BYTES + 1}` } });
    expect(new Uint8Array(await across.arrayBuffer())).toEqual(big.slice(PART_BYTES - 2, PART_BYTES + 2));
  });

  test("two requests that join the same parts at once both succeed", async () => {
    const bytes = big.slice(0, PART_BYTES + 7);
    const whole = { size: bytes.length, sha256: await sha256(bytes) };
    params = { sha256: whole.sha256 };
    await send(1);
    await send(2, bytes.slice(PART_BYTES));
    const answers = await Promise.all([post(assembleAsset, whole, { params }), post(assembleAsset, whole, { params })]);
    for (const answer of answers) expect([200, 201]).toContain(answer.status);
    expect(await sha256(new Uint8Array(await (await call(getAsset, { params })).arrayBuffer()))).toBe(whole.sha256);
    expect([await keys("uploads/"), (await keys(`parts/assets/${whole.sha256}/`)).length]).toEqual([[], 2]);
  });

  test("a request that finds its parts gone, because another has just joined them, answers with that file", async () => {
    const whole = { size: 9, sha256: await sha256(text("contested")) };
    params = { sha256: whole.sha256 };
    const target = `assets/${whole.sha256}`;
    await send(1, text("contested"));
    const overtaken = new Proxy(env.FILES, {
      get: (bucket, name) => {
        if (name !== "get") return (bucket[name as keyof R2Bucket] as () => unknown).bind(bucket);
        return async (at: string) => {
          expect((await assemble(bucket, target, whole, Date.now)).ok).toBe(true);
          return await bucket.get(at);
        };
      },
    });
    expect(await assemble(overtaken, target, whole, Date.now)).toEqual({ ok: true, value: { created: false } });
    expect(await (await env.FILES.get(target))!.text()).toBe("contested");
    expect([await keys("uploads/"), await keys(`parts/${target}/`)]).toEqual([[], []]);
  });

  test("a wrong whole is refused, its parts are dropped, and it can be sent again", async () => {
    const claimed = await sha256(text("something else"));
    params = { sha256: claimed };
    const bytes = text("not what was said");
    await send(1, bytes);
    expect(await problem(await post(assembleAsset, { size: bytes.length, sha256: claimed }, { params }))).toEqual({
      status: 422,
      code: "invalid",
      fields: ["sha256"],
    });
    const arrived = async (): Promise<unknown> => await (await call(listAssetParts, { params })).json();
    expect([await arrived(), await keys(`assets/${claimed}`)]).toMatchObject([{ parts: [] }, []]);

    await send(1, bytes);
    expect(await problem(await post(assembleAsset, { size: 99, sha256: claimed }, { params }))).toEqual({
      status: 422,
      code: "invalid",
      fields: ["size"],
    });
    expect(await arrived()).toMatchObject({ parts: [] });

    await send(1, text("something else"));
    expect((await post(assembleAsset, { size: 14, sha256: claimed }, { params })).status).toBe(201);
    // The parts that were refused before are deleted, too.
    expect([await keys("uploads/"), await keys(`parts/assets/${claimed}/`)]).toEqual([[], []]);
  });

  test("a short part in the middle, a part too many, and a hash other than the path's are refused", async () => {
    params = { sha256: await sha256(text("never stored")) };
    await send(1, text("short"));
    await send(2, text("rest"));
    const wanted = { size: PART_BYTES + 4, sha256: params["sha256"] };
    expect(await problem(await post(assembleAsset, wanted, { params }))).toMatchObject({
      status: 422,
      fields: ["size"],
    });
    await send(1, text("short"));
    await send(2, text("rest"));
    expect(await problem(await post(assembleAsset, { ...wanted, size: 5 }, { params }))).toMatchObject({
      status: 422,
      fields: ["size"],
    });
    const other = await post(assembleAsset, { ...wanted, sha256: "0".repeat(64) }, { params });
    expect(await problem(other)).toEqual({ status: 422, code: "invalid", fields: ["sha256"] });
  });

  test("P10: part numbers, hashes and empty parts are checked, and a part of wrong bytes does not replace a good one", async () => {
    params = { sha256: await sha256(text("x")) };
    await send(1, text("good"));
    for (const n of ["0", "1001", "-1", "1.5", "x"]) {
      const response = await put(putAssetPart, text("x"), {
        params: { ...params, n },
        headers: { "Tablao-SHA256": await sha256(text("x")) },
      });
      expect(await problem(response), n).toEqual({ status: 422, code: "invalid", fields: ["n"] });
    }
    const to1 = { params: { ...params, n: "1" } };
    expect(await problem(await put(putAssetPart, text("x"), to1))).toMatchObject({
      status: 422,
      fields: ["Tablao-SHA256"],
    });
    const wrong = await put(putAssetPart, text("evil"), {
      ...to1,
      headers: { "Tablao-SHA256": await sha256(text("good")) },
    });
    expect(await problem(wrong)).toMatchObject({ status: 422, fields: ["Tablao-SHA256"] });
    expect(await problem(await send(1, text("")))).toMatchObject({ status: 422, fields: ["Content-Length"] });
    expect(await (await call(listAssetParts, { params })).json()).toMatchObject({
      parts: [{ number: 1, sha256: await sha256(text("good")) }],
    });
  });

  test("parts older than a week are swept by the daily cron; newer parts and whole files stay", async () => {
    const whole = await sha256(text("whole"));
    await put(putAsset, text("whole"), { params: { sha256: whole } });
    params = { sha256: "1".repeat(64) };
    await send(1, text("stray"));
    expect((await sweepStaleUploads(env, Date.now() + STALE_UPLOAD_MS - 60_000)).deleted).toBe(0);
    const controller = createScheduledController({ scheduledTime: new Date(Date.now() + STALE_UPLOAD_MS + 60_000) });
    const finished = await keys(`parts/assets/${sha}/`);
    await worker.scheduled(controller, env);
    expect([await keys("uploads/"), await keys(`parts/assets/${params["sha256"]}`)]).toEqual([[], []]);
    expect([finished.length, await keys(`parts/assets/${sha}/`)]).toEqual([3, finished]);
    expect(await keys(`assets/${whole}`)).toEqual([`assets/${whole}`]);
  });
});

describe("reads of R2 for an asset", () => {
  /** What a request asks of R2, and its answer. */
  async function asked(init: Call, key = "known"): Promise<[string[], number, Record<string, string>]> {
    const sha = await sha256(text(key));
    const calls: string[] = [];
    const real = env.FILES;
    env.FILES = new Proxy(real, {
      get: (bucket, name: keyof R2Bucket) => {
        return (...args: unknown[]) => {
          calls.push(name);
          return (bucket[name] as (...of: unknown[]) => unknown).apply(bucket, args);
        };
      },
    });
    try {
      const answer = await call(getAsset, { params: { sha256: sha }, ...init });
      return [calls, answer.status, Object.fromEntries(answer.headers)];
    } finally {
      env.FILES = real;
    }
  }

  beforeAll(async () => {
    await put(putAsset, text("known"), { params: { sha256: await sha256(text("known")) } });
  });

  test("are one for the whole, for its headers, and for one that is unchanged or not there; two for a range", async () => {
    const etag = `"${await sha256(text("known"))}"`;
    const [whole, head] = [await asked({}), await asked({ method: "HEAD" })];
    expect([whole.slice(0, 2), head.slice(0, 2)]).toEqual([
      [["get"], 200],
      [["head"], 200],
    ]);
    // A HEAD names the same headers.
    expect(head[2]).toEqual(whole[2]);
    expect((await asked({ headers: { "If-None-Match": etag } })).slice(0, 2)).toEqual([["head"], 304]);
    expect((await asked({}, "never stored")).slice(0, 2)).toEqual([["get"], 404]);
    expect((await asked({ headers: { Range: "bytes=1-2" } })).slice(0, 2)).toEqual([["head", "get"], 206]);
    expect((await asked({ headers: { Range: "bytes=5-" } })).slice(0, 2)).toEqual([["head"], 416]);
    expect((await asked({ headers: { Range: "bytes=1-2", "If-Range": '"x"' } })).slice(0, 2)).toEqual([
      ["head", "get"],
      200,
    ]);
  });
});
