/**
 * Downloads of committed files through the handlers; the task's object is a list of commits, R2 is
 * workerd's.
 */
import { createExecutionContext } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { signGrant } from "../../src/files/grant.ts";
import { downloadFrame, downloadZip, listFiles } from "../../src/http/routes/downloads.ts";
import { runRoute } from "../../src/http/server/run-route.ts";
import { crc32, crc32Text } from "../../src/lib/crc32.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import { MAX_ARCHIVE_READS } from "../../src/protocol/archive.ts";
import { PART_BYTES, type FileList, type Grant } from "../../src/protocol/file.ts";
import { readerOf, readTar, readZip } from "../support/archive-readers.ts";
import { ARTIST, call, env, GRANT, problem, SECRET, sha256, text, WORKER, type Call } from "./files-call.ts";

type File = FileList["files"][number];

const COMMITTED_MS = Date.UTC(2026, 10, 27, 10, 30, 1, 234);

/** The files of task 20; no other task exists. */
let committed: File[] = [];
/** The most files that the fake answers at once, whatever limit is asked for. */
let pageFiles = Infinity;

const noTask = { ok: false, error: { code: "not_found", detail: "There is no such task." } };

/** Answers `TaskRpc.files` and `TaskRpc.file` from the list above. */
function fakeTask(id: number): object {
  return {
    files: async ({ cursor, limit }: { cursor?: string; limit: number }) => {
      const start = Number(cursor ?? 0);
      const end = start + Math.min(limit, pageFiles);
      return id === 20
        ? {
            ok: true,
            value: { files: committed.slice(start, end), cursor: end < committed.length ? String(end) : null },
          }
        : noTask;
    },
    file: async (frame: number) => {
      const file = committed.find((one) => one.frame === frame);
      return id === 20 && file ? { ok: true, value: { ...file, task: id } } : noTask;
    },
  };
}

const taskOnly = { getByName: (name: string) => fakeTask(Number(name)) };

async function commit(frame: number, name: string, content: string, attempt = 1): Promise<File> {
  const bytes = text(content);
  const hashes = { sha256: await sha256(bytes), crc32: crc32Text(crc32(bytes)) };
  const file = { frame, name, size: bytes.length, ...hashes, attempt, committed_ms: COMMITTED_MS };
  await env.FILES.put(`tasks/20/${attempt}/${name}`, content, { customMetadata: { sha256: file.sha256 } });
  committed.push(file);
  return file;
}

beforeAll(async () => {
  Object.assign(env, { TASK: taskOnly });
  committed = [];
  await commit(1, "f_0001.png", "first frame");
  await commit(2, "f_0002.png", "second frame", 4);
  await commit(-3, "é 絵.exr", "before the start");
});

const file = (frame: string, more: Call = {}) => call(downloadFrame, { params: { id: "20", frame }, ...more });

describe("one frame's file", () => {
  test("has its name and type, and is answered whole, in ranges, or as not modified", async () => {
    const { sha256: sha } = committed[1]!;
    const whole = await file("2");
    expect([whole.status, await whole.text()]).toEqual([200, "second frame"]);
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      "content-type": "image/png",
      "content-length": "12",
      "content-disposition": 'inline; filename="f_0002.png"',
      etag: `"${sha}"`,
      "cache-control": "private, no-cache",
      "accept-ranges": "bytes",
    });
    const end = await file("2", { headers: { Range: "bytes=-5", "If-Range": `"${sha}"` } });
    expect([end.status, await end.text(), end.headers.get("Content-Range")]).toEqual([206, "frame", "bytes 7-11/12"]);
    expect((await file("2", { headers: { "If-None-Match": `W/"${sha}"` } })).status).toBe(304);
    expect([(await file("2", { method: "HEAD" })).status, await (await file("-3")).text()]).toEqual([
      200,
      "before the start",
    ]);
  });

  test("P10: frames and tasks that do not exist are 404, and so is a missing file", async () => {
    for (const frame of ["5", "x", "1.5", "01", "", "99999999999"])
      expect(await problem(await file(frame)), frame).toMatchObject({ status: 404 });
    expect(await problem(await call(downloadFrame, { params: { id: "21", frame: "1" } }))).toMatchObject({
      status: 404,
    });
    expect(await problem(await call(downloadFrame, { params: { id: "x", frame: "1" } }))).toMatchObject({
      status: 404,
    });
    const gone = await commit(7, "gone.png", "x");
    await env.FILES.delete("tasks/20/1/gone.png");
    expect(await problem(await file("7"))).toMatchObject({ status: 404 });
    committed.splice(committed.indexOf(gone), 1);
  });

  test("P3: bytes that are not the committed ones are never served", async () => {
    const one = await commit(8, "swapped.png", "right");
    await env.FILES.put("tasks/20/1/swapped.png", "wrong", { customMetadata: { sha256: await sha256(text("wrong")) } });
    expect(await problem(await file("8"))).toMatchObject({ status: 404 });
    committed.splice(committed.indexOf(one), 1);
  });
});

describe("a worker", () => {
  async function reads(grant: Partial<Grant>, principal = WORKER): Promise<number[]> {
    const headers = { "Tablao-Grant-Token": await signGrant(await importKey(SECRET), { ...GRANT, ...grant }) };
    const answers = await Promise.all([
      file("1", { headers, principal }),
      call(listFiles, { params: { id: "20" }, headers, principal }),
    ]);
    return answers.map((answer) => answer.status);
  }

  test("P9: reads the files of a task that the grant of its own lease names, and no others", async () => {
    expect(await reads({ task: 30, input_task: 20 })).toEqual([200, 200]);
    expect(await reads({ task: 20 })).toEqual([200, 200]);
    expect(await reads({ task: 30, input_task: 21 })).toEqual([403, 403]);
    expect(await reads({ task: 20, worker: 6 })).toEqual([403, 403]);
    expect(await reads({ task: 20, exp_ms: Date.now() - 1 })).toEqual([409, 409]);
    expect((await file("1", { principal: WORKER })).status).toBe(403);
  });
});

test("the list pages, and an invalid parameter is named", async () => {
  const params = { id: "20" };
  const first = await (await call(listFiles, { params, query: "limit=2" })).json<FileList>();
  expect(first).toEqual({ files: committed.slice(0, 2), cursor: "2" });
  expect(await (await call(listFiles, { params, query: "limit=2&cursor=2" })).json()).toEqual({
    files: committed.slice(2),
    cursor: null,
  });
  expect(await problem(await call(listFiles, { params, query: "limit=0" }))).toMatchObject({
    status: 422,
    fields: ["limit"],
  });
  expect(await problem(await call(listFiles, { params, query: "frames=3-1" }))).toMatchObject({
    status: 422,
    fields: ["frames"],
  });
});

describe("the archive", () => {
  const archive = (query = "", more: Call = {}) => call(downloadZip, { params: { id: "20" }, query, ...more });
  const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());
  const CONTENTS = {
    "f_0001.png": "first frame",
    "f_0002.png": "second frame",
    "é 絵.exr": "before the start",
    "9/f_0001.png": "same name, other attempt",
  };
  let clash: File;

  beforeAll(async () => {
    clash = await commit(9, "f_0001.png", "same name, other attempt", 5);
  });

  test("is a zip of every committed file as it is, with an exact length", async () => {
    const response = await archive();
    const bytes = await bytesOf(response);
    expect([response.status, Object.fromEntries(response.headers)]).toMatchObject([
      200,
      {
        "content-type": "application/zip",
        "content-length": String(bytes.length),
        "content-disposition": 'attachment; filename="task-20.zip"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        etag: expect.stringMatching(/^"[0-9a-f]{64}"$/),
      },
    ]);
    expect(unzip(bytes)).toEqual(CONTENTS);
    expect(readZip(bytes.length, readerOf(bytes)).files.map(({ modifiedMs }) => modifiedMs)).toEqual(
      Array(4).fill(Math.floor(COMMITTED_MS / 1_000) * 1_000),
    );
  });

  test("is a tar on request, and where the CRC-32 of a file is not known; a zip is then refused", async () => {
    const untar = async (response: Response): Promise<Record<string, string>> => {
      const bytes = await bytesOf(response);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "content-type": "application/x-tar",
        "content-length": String(bytes.length),
        "content-disposition": 'attachment; filename="task-20.tar"',
      });
      return Object.fromEntries(
        readTar(bytes.length, readerOf(bytes)).map(({ path, at, size }) => [path, decode(bytes, at, size)]),
      );
    };
    expect(await untar(await archive("format=tar"))).toEqual(CONTENTS);
    // As an agent of an earlier release uploads it.
    const { crc32: known, ...older } = clash;
    expect(known).toMatch(/^[0-9a-f]{8}$/);
    committed[committed.indexOf(clash)] = older;
    expect(await untar(await archive())).toEqual(CONTENTS);
    expect(await problem(await archive("format=zip"))).toMatchObject({ status: 422, fields: ["format"] });
    expect(await problem(await archive("format=rar"))).toMatchObject({ status: 422, fields: ["format"] });
    committed[committed.indexOf(older)] = clash;
  });

  test.each(["zip", "tar"])("as a %s answers any range with the bytes that the whole has there", async (format) => {
    const whole = await bytesOf(await archive(`format=${format}`));
    const size = whole.length;
    const ranges: [number, number][] = [
      [0, 0],
      [0, size - 1],
      [size - 1, size - 1],
      [3, size - 40],
    ];
    for (let from = 0; from < size; from += 97) ranges.push([from, Math.min(size - 1, from + (from % 150))]);
    for (const [from, to] of ranges) {
      const answer = await archive(`format=${format}`, { headers: { Range: `bytes=${from}-${to}` } });
      expect([answer.status, answer.headers.get("Content-Range"), answer.headers.get("Content-Length")]).toEqual([
        206,
        `bytes ${from}-${to}/${size}`,
        String(to - from + 1),
      ]);
      expect(await bytesOf(answer), `${from}-${to}`).toEqual(whole.slice(from, to + 1));
    }
  });

  test("resumes only while it is the same archive, and refuses a range beyond its end", async () => {
    const first = await archive();
    const etag = first.headers.get("ETag")!;
    const whole = await bytesOf(first);
    const resumed = (tag: string) => archive("", { headers: { Range: "bytes=100-", "If-Range": tag } });
    const rest = await resumed(etag);
    expect([rest.status, await bytesOf(rest)]).toEqual([206, whole.slice(100)]);
    expect(rest.headers.get("ETag")).toBe(etag);
    expect([(await resumed(`W/${etag}`)).status, (await resumed('"other"')).status]).toEqual([200, 200]);
    const beyond = await archive("", { headers: { Range: `bytes=${whole.length}-` } });
    expect(beyond.headers.get("Content-Range")).toBe(`bytes */${whole.length}`);
    expect(await problem(beyond)).toMatchObject({ status: 416, code: "range_not_satisfiable" });
    expect((await archive("", { headers: { "If-None-Match": etag } })).status).toBe(304);
    const head = await archive("", { method: "HEAD" });
    expect([head.status, head.headers.get("Content-Length"), head.headers.get("ETag")]).toEqual([
      200,
      String(whole.length),
      etag,
    ]);

    // The frame was rendered again, and by chance has a file of the same size: another archive.
    const index = committed.indexOf(clash);
    committed.splice(index, 1);
    const again = await commit(9, "f_0001.png", "same name, 3rd   attempt", 6);
    expect(again.size).toBe(clash.size);
    const changed = await resumed(etag);
    expect(changed.status).toBe(200);
    expect(unzip(await bytesOf(changed))["9/f_0001.png"]).toBe("same name, 3rd   attempt");
    expect(new Set([etag, changed.headers.get("ETag"), (await archive("format=tar")).headers.get("ETag")]).size).toBe(
      3,
    );
    committed.splice(committed.indexOf(again), 1, clash);
  });

  /** Ask with a bucket that says what is opened. */
  async function watched(headers: Record<string, string> = {}): Promise<{ opened: string[]; response: Response }> {
    const opened: string[] = [];
    const bucket = env.FILES;
    const get = (key: string, options: R2GetOptions) => (opened.push(key), bucket.get(key, options));
    const watching = new Proxy(bucket, { get: (_, name) => (name === "get" ? get : undefined) });
    const url = new URL("https://farm.example/tasks/20/zip");
    const request = new Request(url, { headers });
    const context = { request, url, env: { ...env, FILES: watching }, ctx: createExecutionContext() };
    const caller = { principal: ARTIST, credential: "access", untilMs: null } as const;
    return { opened, response: await runRoute(downloadZip, context, { id: "20" }, caller) };
  }

  test("of many files pages through the task, and opens each file once, and few ahead", async () => {
    const before = committed;
    committed = [];
    pageFiles = 7;
    for (let frame = 1; frame <= 30; frame++) await commit(frame, `m_${frame}.txt`, "x".repeat(200_000));
    const { opened, response } = await watched();
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      if (chunks.length === 0) expect(opened.length).toBeLessThanOrEqual(4);
      chunks.push(chunk);
    }
    expect(opened).toEqual(committed.map((one) => `tasks/20/1/${one.name}`));
    const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
    expect(unzip(bytes)).toEqual(Object.fromEntries(committed.map((one) => [one.name, "x".repeat(200_000)])));

    // A range of the 20th file opens that file.
    const { at } = readZip(bytes.length, readerOf(bytes)).files[19]!;
    const part = await watched({ Range: `bytes=${at + 5}-${at + 9}` });
    expect([await part.response.text(), part.opened]).toEqual(["xxxxx", ["tasks/20/1/m_20.txt"]]);
    committed = before;
    pageFiles = Infinity;
  });

  test("P3: a file that disappears or is replaced in between cuts the stream instead of inventing bytes", async () => {
    const gone = await commit(10, "vanished.png", "soon gone");
    await env.FILES.delete("tasks/20/1/vanished.png");
    await expect(archive().then((response) => response.arrayBuffer())).rejects.toThrow();
    await env.FILES.put("tasks/20/1/vanished.png", "otherwise", {
      customMetadata: { sha256: await sha256(text("otherwise")) },
    });
    for (const format of ["zip", "tar"])
      await expect(archive(`format=${format}`).then((response) => response.arrayBuffer())).rejects.toThrow();
    committed.splice(committed.indexOf(gone), 1);
  });

  test("P10: without files, with too many, or with an unreadable frame list it is refused with the reason", async () => {
    const before = committed;
    committed = [];
    expect(await problem(await archive())).toMatchObject({ status: 404 });
    const many = (frames: number, size: number): File[] =>
      Array.from({ length: frames }, (_, i) => ({ frame: i, name: `${i}.png`, size, sha256: "", attempt: 1 }));
    committed = many(2 * MAX_ARCHIVE_READS, 1);
    const refused = await archive();
    expect(await refused.clone().text()).toContain("the first with ?frames=0-899.");
    expect(await problem(refused)).toMatchObject({ status: 422, fields: ["frames"] });
    committed = many(1, (MAX_ARCHIVE_READS + 1) * PART_BYTES);
    const huge = await archive();
    expect(await huge.clone().text()).toContain("/tasks/20/frames/0/file");
    expect(await problem(huge)).toMatchObject({ status: 422, fields: ["frames"] });
    expect(await problem(await archive("frames=x"))).toMatchObject({ status: 422, fields: ["frames"] });
    committed = before;
  });
});

function decode(bytes: Uint8Array, at: number, size: number): string {
  return new TextDecoder().decode(bytes.subarray(at, at + size));
}

/** The files of a zip by their paths, each checked against its CRC-32. */
function unzip(bytes: Uint8Array): Record<string, string> {
  const { files } = readZip(bytes.length, readerOf(bytes));
  for (const { at, size, crc32: sum } of files) expect(crc32(bytes.subarray(at, at + size))).toBe(sum);
  return Object.fromEntries(files.map(({ path, at, size }) => [path, decode(bytes, at, size)]));
}
