/**
 * Files of more than one part: what is stored of them, who may change them, and how they are read.
 * On R2 as workerd has it.
 */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createExecutionContext } from "cloudflare:test";
import { archiveOf } from "../../src/files/archive/archive.ts";
import { pipeArchive } from "../../src/files/archive/pipe.ts";
import { signGrant, verifyReceipt } from "../../src/files/grant.ts";
import { assemble, listParts, storePart, type Part } from "../../src/files/parts.ts";
import { sweepStaleUploads } from "../../src/files/sweep.ts";
import { STALE_UPLOAD_MS } from "../../src/files/upload-record.ts";
import { assembleAsset, getAsset, listAssetParts, putAssetPart } from "../../src/http/routes/assets.ts";
import { readBackupRows } from "../../src/http/routes/backup.ts";
import { answerContent } from "../../src/http/stored-content.ts";
import { assembleOutput, putOutput, putOutputPart } from "../../src/http/routes/outputs.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import { PART_BYTES } from "../../src/protocol/file.ts";
import { readerOf, readTar, readZip } from "../support/archive-readers.ts";
import { call, env, GRANT, keys, post, problem, put, SECRET, sha256, text, WORKER } from "./files-call.ts";

const DAY_MS = 86_400_000;
/** Two parts and a bit. No two ranges have the same bytes. */
const SIZE = 2 * PART_BYTES + 1_003;
const TAIL = PART_BYTES + 7;

const bytes = new Uint8Array(SIZE);
const tail = bytes.subarray(0, TAIL);
let whole = { size: SIZE, sha256: "" };
let hashes: string[] = [];
/** A file of the first part and seven bytes: another file with the same beginning. */
let shorter = { size: TAIL, sha256: "" };
let seven = "";
let names = 0;
/** The key of a file that no other test has used. */
let target = "";

beforeAll(async () => {
  for (let at = 0; at < SIZE; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(SIZE, at + 65_536)));
  whole.sha256 = await sha256(bytes);
  hashes = await Promise.all([0, 1, 2].map((i) => sha256(bytes.slice(i * PART_BYTES, (i + 1) * PART_BYTES))));
  shorter.sha256 = await sha256(tail.slice());
  seven = await sha256(bytes.slice(PART_BYTES, TAIL));
});

beforeEach(() => {
  target = `tasks/70/1/f_${++names}.exr`;
});

function partBytes(number: number, of = bytes): Uint8Array<ArrayBuffer> {
  return of.slice((number - 1) * PART_BYTES, number * PART_BYTES);
}

async function store(
  number: number,
  other?: Uint8Array<ArrayBuffer>,
  nowMs = Date.now(),
  bucket = env.FILES,
): Promise<void> {
  const content = other ?? partBytes(number);
  const sha = other ? await sha256(other) : hashes[number - 1]!;
  const body = new Response(content).body as ReadableStream<Uint8Array>;
  const upload = { body, size: content.length, sha256: sha, hashField: "x" };
  expect(await storePart(bucket, target, number, upload, nowMs)).toEqual({ ok: true, value: null });
}

const join = (of = whole, nowMs = Date.now(), bucket = env.FILES): ReturnType<typeof assemble> =>
  assemble(bucket, target, of, () => nowMs);

const numbers = (parts: readonly Part[]): number[] => parts.map(({ number }) => number);

/** The stored file as a download answers it. */
async function read(of = whole, headers: Record<string, string> = {}): Promise<Response> {
  const ctx = createExecutionContext();
  const content = { key: target, ...of, name: "f.exr", cacheControl: "no-store" };
  return await answerContent(new Request("https://farm.example/x", { headers }), env.FILES, content, ctx);
}

async function readsWhole(of = whole): Promise<boolean> {
  const answer = await read(of);
  return answer.status === 200 && (await sha256(new Uint8Array(await answer.arrayBuffer()))) === of.sha256;
}

/** A bucket of which one method is replaced. */
function bucketWith<K extends "get" | "put" | "head" | "list" | "delete">(name: K, method: R2Bucket[K]): R2Bucket {
  return new Proxy(env.FILES, {
    get: (bucket, asked) =>
      asked === name ? method : (bucket[asked as keyof R2Bucket] as (...args: unknown[]) => unknown).bind(bucket),
  });
}

const ok = (created: boolean): object => ({ ok: true, value: { created } });
const refusal = (code: string): object => ({ ok: false, error: { code } });

describe("a large file", () => {
  test("P3: exists when its whole has the hash, and its bytes are stored once", async () => {
    for (const number of [3, 1, 2]) await store(number);
    expect(await env.FILES.head(target)).toBeNull();
    expect(await join()).toEqual(ok(true));
    expect(await readsWhole()).toBe(true);
    const stored = (await env.FILES.list({ prefix: `parts/${target}/` })).objects;
    expect(stored.map(({ size }) => size)).toEqual([PART_BYTES, PART_BYTES, 1_003]);
    expect((await env.FILES.head(target))!.size).toBeLessThan(200);
    expect(await keys(`uploads/${target}`)).toEqual([]);
  });

  test("is answered in ranges within a part, across two, to the end, and as not modified", async () => {
    for (const number of [1, 2, 3]) await store(number);
    await join();
    for (const [from, to] of [
      [0, 0],
      [5, 90],
      [PART_BYTES - 3, PART_BYTES + 3],
      [PART_BYTES, PART_BYTES],
      [PART_BYTES - 2, 2 * PART_BYTES + 1],
      [SIZE - 2_000, SIZE - 1],
      [SIZE - 1, SIZE - 1],
    ] as const) {
      const answer = await read(whole, { Range: `bytes=${from}-${to}` });
      expect([answer.status, answer.headers.get("Content-Range")]).toEqual([206, `bytes ${from}-${to}/${SIZE}`]);
      const got = new Uint8Array(await answer.arrayBuffer());
      expect(got.length === to - from + 1 && got.every((byte, i) => byte === bytes[from + i]), `${from}-${to}`).toBe(
        true,
      );
    }
    expect((await read(whole, { Range: `bytes=${SIZE}-` })).status).toBe(416);
    expect((await read(whole, { "If-None-Match": `"${whole.sha256}"` })).status).toBe(304);
  });

  test("P3: is not served under another size or hash, and is cut where a part is missing", async () => {
    for (const number of [1, 2, 3]) await store(number);
    await join();
    expect((await read({ ...whole, sha256: "0".repeat(64) })).status).toBe(404);
    expect((await read({ ...whole, size: SIZE - 1 })).status).toBe(404);
    await env.FILES.delete((await keys(`parts/${target}/`))[1]!);
    const answer = await read();
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });

  test("goes into a zip or a tar whole, or a range of it, across the ends of its parts", async () => {
    for (const number of [1, 2, 3]) await store(number);
    await join();
    const file = { frame: 1, name: target.slice("tasks/70/1/".length), attempt: 1, ...whole, crc32: "00c0ffee" };
    const after = { ...file, frame: 2, name: "after.txt", size: 5, sha256: await sha256(text("after")) };
    await env.FILES.put("tasks/70/1/after.txt", "after", { customMetadata: { sha256: after.sha256 } });
    for (const format of ["zip", "tar"] as const) {
      const archive = await archiveOf(70, [file, after], format);
      if (!archive.ok) throw new Error(archive.error.detail);
      const { size } = archive.value.layout;
      const read = async (offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> => {
        const through = new FixedLengthStream(length);
        const piped = pipeArchive(env.FILES, archive.value, { offset, length }, through.writable);
        const got = new Uint8Array(await new Response(through.readable).arrayBuffer());
        await piped;
        return got;
      };
      const all = await read(0, size);
      expect(all.length).toBe(size);
      const { at } = format === "zip" ? readZip(size, readerOf(all)).files[0]! : readTar(size, readerOf(all))[0]!;
      expect(await sha256(all.slice(at, at + SIZE))).toBe(whole.sha256);
      expect(await sha256(await read(at - 10, SIZE + 20))).toBe(await sha256(all.slice(at - 10, at + SIZE + 10)));
      const seam = at + PART_BYTES - 3;
      expect(await read(seam, 9)).toEqual(all.slice(seam, seam + 9));
    }
  });

  test("that was stored before manifests existed is read as it is", async () => {
    const upload = await env.FILES.createMultipartUpload(target, { customMetadata: { sha256: whole.sha256 } });
    const done = [];
    for (const number of [1, 2, 3]) done.push(await upload.uploadPart(number, partBytes(number)));
    await upload.complete(done);
    expect(await readsWhole()).toBe(true);
    const range = await read(whole, { Range: `bytes=${PART_BYTES - 2}-${PART_BYTES + 1}` });
    expect(new Uint8Array(await range.arrayBuffer())).toEqual(bytes.slice(PART_BYTES - 2, PART_BYTES + 2));
    await store(1);
    expect(await join()).toEqual(ok(false));
    expect([await keys(`uploads/${target}`), await keys(`parts/${target}/`)]).toEqual([[], []]);
  });

  test("that fits into one part is one object", async () => {
    const content = text("small, and yet in parts");
    const one = { size: content.length, sha256: await sha256(content) };
    await store(1, content);
    expect(await join(one)).toEqual(ok(true));
    expect(await (await env.FILES.get(target))!.text()).toBe("small, and yet in parts");
    expect([await keys(`uploads/${target}`), await keys(`parts/${target}/`)]).toEqual([[], []]);
  });
});

test("a large file is written once: its parts, a record, a manifest, and a list to find them", async () => {
  const asked: Record<string, number> = {};
  const counting = new Proxy(env.FILES, {
    get:
      (bucket, name: keyof R2Bucket) =>
      (...args: unknown[]) => {
        asked[name] = (asked[name] ?? 0) + 1;
        return (bucket[name] as (...of: unknown[]) => unknown).apply(bucket, args);
      },
  });
  expect(await listParts(counting, target, Date.now())).toEqual([]);
  for (const number of [1, 2, 3]) await store(number, undefined, Date.now(), counting);
  expect(await join(whole, Date.now(), counting)).toEqual(ok(true));
  expect(asked).toEqual({ put: 5, list: 1, get: 3, head: 9, delete: 1 });
});

describe("races", () => {
  test("P3: a stored file stays, whatever parts come afterwards and however they are joined", async () => {
    for (const number of [1, 2, 3]) await store(number);
    expect(await join()).toEqual(ok(true));
    await store(1);
    await store(2, bytes.slice(PART_BYTES, TAIL));
    expect(await join(shorter)).toMatchObject(refusal("conflict"));
    expect(await readsWhole()).toBe(true);
    // The first sender is told that the file is already there, and the parts that came since are
    // deleted.
    expect(await join()).toEqual(ok(false));
    expect([await readsWhole(), (await keys(`parts/${target}/`)).length]).toEqual([true, 3]);
    expect(await keys(`uploads/${target}`)).toEqual([]);
  });

  test("P3: of two contents of one name that are joined at once, one becomes the file and the other is refused", async () => {
    await store(1);
    await store(2, bytes.slice(PART_BYTES, TAIL));
    // While the first upload is being verified, the other replaces it and is finished.
    let overtaken = false;
    const bucket = bucketWith("get", (async (key: string, options?: R2GetOptions) => {
      if (!overtaken) {
        overtaken = true;
        await store(2);
        await store(3);
        expect(await join()).toEqual(ok(true));
      }
      return await env.FILES.get(key, options);
    }) as R2Bucket["get"]);
    expect(await join(shorter, Date.now(), bucket)).toMatchObject(refusal("conflict"));
    expect([await readsWhole(), (await keys(`parts/${target}/`)).length]).toEqual([true, 3]);
  });

  test("P3: a manifest that comes after another one is not written, though its whole was verified", async () => {
    await store(1);
    await store(2, bytes.slice(PART_BYTES, TAIL));
    let late = false;
    const bucket = bucketWith("put", (async (key: string, value: string, options: R2PutOptions) => {
      // The other is verified and receipted between this one's check and its manifest.
      if (key === target && !late) {
        late = true;
        await store(2);
        await store(3);
        expect(await join()).toEqual(ok(true));
      }
      return await env.FILES.put(key, value, options);
    }) as R2Bucket["put"]);
    expect(await join(shorter, Date.now(), bucket)).toMatchObject(refusal("conflict"));
    expect([late, await readsWhole(), (await keys(`parts/${target}/`)).length]).toEqual([true, true, 3]);
  });

  test("P3: a request with a wrong hash for the same parts does not disturb one with the right hash", async () => {
    for (const number of [1, 2, 3]) await store(number);
    let wrongJoins = 0;
    const bucket = bucketWith("put", (async (key: string, value: string, options: R2PutOptions) => {
      // Between the check of the whole and the manifest.
      if (key === target && wrongJoins++ === 0)
        expect(await join({ ...whole, sha256: "0".repeat(64) })).toMatchObject(refusal("invalid"));
      return await env.FILES.put(key, value, options);
    }) as R2Bucket["put"]);
    expect(await join(whole, Date.now(), bucket)).toEqual(ok(true));
    expect([wrongJoins, await readsWhole()]).toEqual([1, true]);
  });

  test("a part that comes again while the file is being finished is found by the sweep (chaos, seed 25)", async () => {
    const content = text("small, and sent twice");
    const one = { size: content.length, sha256: await sha256(content) };
    await store(1, content);
    let finished = false;
    const bucket = bucketWith("put", (async (key: string, value: ReadableStream, options: R2PutOptions) => {
      // Between the check for the upload and the bytes.
      if (!finished) expect(await join(one)).toEqual(ok(true));
      finished = true;
      return await env.FILES.put(key, value, options);
    }) as R2Bucket["put"]);
    await store(1, content, Date.now(), bucket);
    expect([finished, (await keys(`parts/${target}/`)).length]).toEqual([true, 1]);
    await sweepStaleUploads(env, Date.now() + 7.1 * DAY_MS);
    expect(await (await env.FILES.get(target))!.text()).toBe("small, and sent twice");
    expect([await keys(`uploads/${target}`), await keys(`parts/${target}/`)]).toEqual([[], []]);
  });

  test("three first parts at once belong to one upload", async () => {
    await Promise.all([1, 2, 3].map((number) => store(number)));
    expect(numbers(await listParts(env.FILES, target, Date.now()))).toEqual([1, 2, 3]);
    expect(await join()).toEqual(ok(true));
  });

  test("a part that is replaced counts with its newer bytes; the older part is deleted with the finished upload", async () => {
    await store(2);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await store(2, bytes.slice(PART_BYTES, TAIL));
    await store(1);
    expect(await listParts(env.FILES, target, Date.now())).toMatchObject([{ sha256: hashes[0] }, { sha256: seven }]);
    expect(await join(shorter)).toEqual(ok(true));
    expect([await readsWhole(shorter), (await keys(`parts/${target}/`)).length]).toEqual([true, 2]);
  });
});

describe("a storage that fails", () => {
  test("P4: an upload whose answers are lost at every write ends as one file", async () => {
    let lost = 0;
    const bucket = bucketWith("put", (async (key: string, value: ReadableStream, options: R2PutOptions) => {
      await env.FILES.put(key, value, options);
      if (!key.startsWith("parts/")) throw new Error(`lost ${++lost}`);
    }) as unknown as R2Bucket["put"]);
    await store(1, undefined, Date.now(), bucket);
    for (const number of [2, 3]) await store(number);
    expect(await join(whole, Date.now(), bucket)).toEqual(ok(false));
    expect([lost, await readsWhole()]).toEqual([2, true]);
  });

  test("a read that fails leaves the parts for another try", async () => {
    for (const number of [1, 2, 3]) await store(number);
    const bucket = bucketWith("get", (async () => {
      throw new Error("R2 is away");
    }) as unknown as R2Bucket["get"]);
    expect(await join(whole, Date.now(), bucket)).toMatchObject(refusal("overloaded"));
    expect(await join()).toEqual(ok(true));
  });

  test("a delete that fails changes nothing for the sender; the daily sweep deletes later", async () => {
    await store(1);
    expect(await join({ ...whole, size: PART_BYTES, sha256: "0".repeat(64) })).toMatchObject(refusal("invalid"));
    for (const number of [1, 2, 3]) await store(number);
    const bucket = bucketWith("delete", async () => {
      throw new Error("R2 is away");
    });
    expect(await join(whole, Date.now(), bucket)).toEqual(ok(true));
    expect((await keys(`parts/${target}/`)).length).toBe(4);
    expect((await sweepStaleUploads(env, Date.now() + STALE_UPLOAD_MS + 60_000)).complete).toBe(true);
    expect([(await keys(`parts/${target}/`)).length, await keys(`uploads/${target}`)]).toEqual([3, []]);
    expect(await readsWhole()).toBe(true);
  });
});

describe("an unfinished upload", () => {
  const later = (days: number): number => Date.now() + days * DAY_MS;

  test("can be resumed for six days, then begins anew; a new part makes it count as recent", async () => {
    await store(1);
    expect(numbers(await listParts(env.FILES, target, later(5.9)))).toEqual([1]);
    expect(await listParts(env.FILES, target, later(6.1))).toEqual([]);
    const [record] = await keys(`uploads/${target}`);
    const written = (await env.FILES.head(record!))!;
    await store(2, undefined, later(0.1));
    expect((await env.FILES.head(record!))!.version).toBe(written.version);
    await store(2, undefined, later(0.6));
    expect((await env.FILES.head(record!))!.version).not.toBe(written.version);
    expect(numbers(await listParts(env.FILES, target, Date.now()))).toEqual([1, 2]);
    await store(3, undefined, later(6.1));
    expect(numbers(await listParts(env.FILES, target, Date.now()))).toEqual([3]);
  });

  test("P3: is not finished so late that the sweep could delete its parts", async () => {
    for (const number of [1, 2, 3]) await store(number);
    expect(await assemble(env.FILES, target, whole, () => later(6.1))).toMatchObject(refusal("conflict"));
    // It was recent enough when the request began, and is not when everything has been read.
    let reading = false;
    const slow = (): number => later(reading ? 6.6 : 5.9);
    const bucket = bucketWith("get", (async (key: string, options?: R2GetOptions) => {
      reading = true;
      return await env.FILES.get(key, options);
    }) as R2Bucket["get"]);
    expect(await assemble(bucket, target, whole, slow)).toMatchObject(refusal("conflict"));
    expect(await env.FILES.head(target)).toBeNull();
    expect(await join(whole, later(5.9))).toEqual(ok(true));
  });

  test("is swept after a week, with abandoned parts; a recent one and finished files stay", async () => {
    await store(1);
    expect(await join({ ...whole, size: PART_BYTES, sha256: "0".repeat(64) })).toMatchObject(refusal("invalid"));
    await store(2);
    expect((await keys(`parts/${target}/`)).length).toBe(2);
    await sweepStaleUploads(env, later(6.9));
    expect((await keys(`parts/${target}/`)).length).toBe(2);
    expect((await sweepStaleUploads(env, later(7.1))).deleted).toBeGreaterThanOrEqual(3);
    expect([await keys(`parts/${target}/`), await keys(`uploads/${target}`)]).toEqual([[], []]);
  });

  test("that begins again while its stale parts are swept keeps its new ones", async () => {
    await store(1);
    const record = `uploads/${target}`;
    let began = false;
    // The bucket's own clock stands still, so objects that were stored after the sweep had listed
    // the record are reported as of that time.
    const young = (object: R2Object): R2Object =>
      new Proxy(object, {
        get: (real, name) => (name === "uploaded" ? new Date(later(7.1)) : Reflect.get(real, name)),
      });
    const head = (async (key: string) => {
      if (!began && key === target) {
        began = true;
        await store(2, undefined, later(7.1));
      }
      const object = await env.FILES.head(key);
      return object && began && key === record ? young(object) : object;
    }) as R2Bucket["head"];
    const list = (async (options: R2ListOptions) => {
      const page = await env.FILES.list(options);
      return {
        ...page,
        objects: page.objects.map((object) => (object.key.includes("/0002-") ? young(object) : object)),
      };
    }) as R2Bucket["list"];
    const bucket = new Proxy(bucketWith("head", head), {
      get: (other, name) => (name === "list" ? list : (Reflect.get(other, name) as unknown)),
    });
    expect((await sweepStaleUploads({ FILES: bucket }, later(7.1))).complete).toBe(true);
    expect([began, await keys(record)]).toEqual([true, [record]]);
    expect(numbers(await listParts(env.FILES, target, Date.now()))).toEqual([2]);
    expect((await keys(`parts/${target}/`)).length).toBe(1);
  });
});

test("P3: a worker's receipt for a large output names what was read; other bytes under its name get none", async () => {
  const key = await importKey(SECRET);
  const headers = { "Tablao-Grant-Token": await signGrant(key, GRANT) };
  const params = { id: "3", name: "large.exr" };
  for (const n of [1, 2, 3]) {
    const part = { params: { ...params, n: String(n) }, principal: WORKER };
    const sent = await put(putOutputPart, partBytes(n), {
      ...part,
      headers: { ...headers, "Tablao-SHA256": hashes[n - 1]! },
    });
    expect(sent.status).toBe(204);
  }
  const done = await post(assembleOutput, whole, { params, principal: WORKER, headers });
  const { receipt } = await done.json<{ receipt: string }>();
  expect(await verifyReceipt(key, receipt)).toEqual({ ...whole, task: 3, attempt: 2, name: "large.exr" });
  const small = await put(putOutput, text("other"), {
    params,
    principal: WORKER,
    headers: { ...headers, "Tablao-SHA256": await sha256(text("other")) },
  });
  expect(await problem(small)).toMatchObject({ status: 409, code: "conflict" });
});

test("a large asset reports its own size in an asset query and in a backup", async () => {
  const params = { sha256: whole.sha256 };
  for (const n of [1, 2, 3]) {
    const headers = { "Tablao-SHA256": hashes[n - 1]! };
    expect((await put(putAssetPart, partBytes(n), { params: { ...params, n: String(n) }, headers })).status).toBe(204);
  }
  expect((await post(assembleAsset, whole, { params })).status).toBe(201);
  expect(await (await call(listAssetParts, { params })).json()).toMatchObject({ parts: [] });
  // The whole of it is read by the manifest and each part once; a range, once the size is known.
  const reads: string[] = [];
  const real = env.FILES;
  const counted = <K extends "get" | "head">(name: K): R2Bucket[K] =>
    ((...args: unknown[]) => {
      reads.push(name);
      return (real[name] as (...of: unknown[]) => unknown).apply(real, args);
    }) as R2Bucket[K];
  try {
    env.FILES = new Proxy(bucketWith("get", counted("get")), {
      get: (bucket, name) => (name === "head" ? counted("head") : Reflect.get(bucket, name)),
    });
    const answer = await call(getAsset, { params });
    expect(await sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(whole.sha256);
    expect(reads.splice(0)).toEqual(["get", "get", "get", "get"]);
    const end = await call(getAsset, { params, headers: { Range: "bytes=-5" } });
    expect([end.status, new Uint8Array(await end.arrayBuffer())]).toEqual([206, bytes.slice(-5)]);
    expect(reads).toEqual(["head", "get", "get"]);
  } finally {
    env.FILES = real;
  }
  const head = await call(getAsset, { params, method: "HEAD" });
  expect(head.headers.get("Content-Length")).toBe(String(SIZE));
  const page = await (await call(readBackupRows, { query: "of=assets" })).json<{ rows: unknown[] }>();
  expect(page.rows).toContainEqual(["assets", whole]);
});
