/**
 * Downloads of committed files through the handlers; the task's object is a list of commits, R2 is
 * workerd's.
 */
import { createExecutionContext } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { signGrant } from "../../src/files/grant.ts";
import { MAX_ZIP_FILES } from "../../src/files/zip.ts";
import { downloadFrame, downloadZip, listFiles } from "../../src/http/routes/downloads.ts";
import { runRoute } from "../../src/http/server/run-route.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import type { FileList, Grant } from "../../src/protocol/file.ts";
import { ARTIST, call, env, GRANT, problem, SECRET, sha256, text, WORKER, type Call } from "./files-call.ts";

type File = FileList["files"][number];

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
  const file = { frame, name, size: text(content).length, sha256: await sha256(text(content)), attempt };
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

describe("the zip", () => {
  const zip = (query = "") => call(downloadZip, { params: { id: "20" }, query });

  test("holds every committed file as it is, with an exact length", async () => {
    const clash = await commit(9, "f_0001.png", "same name, other attempt", 5);
    const response = await zip();
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/zip",
      "content-length": String(bytes.length),
      "content-disposition": 'attachment; filename="task-20.zip"',
    });
    expect(unzip(bytes)).toEqual({
      "f_0001.png": "first frame",
      "f_0002.png": "second frame",
      "é 絵.exr": "before the start",
      "9/f_0001.png": "same name, other attempt",
    });
    committed.splice(committed.indexOf(clash), 1);
  });

  test("of many files pages through the task, and opens each file only when it is next", async () => {
    const before = committed;
    const opened: string[] = [];
    const bucket = env.FILES;
    const watched = new Proxy(bucket, {
      get: (real, name) => (name === "get" ? (key: string) => (opened.push(key), real.get(key)) : undefined),
    });
    committed = [];
    pageFiles = 7;
    for (let frame = 1; frame <= 30; frame++) await commit(frame, `m_${frame}.txt`, "x".repeat(200_000));

    const url = new URL("https://farm.example/tasks/20/zip");
    const context = { request: new Request(url), url, env: { ...env, FILES: watched }, ctx: createExecutionContext() };
    const caller = { principal: ARTIST, credential: "access", untilMs: null } as const;
    const response = await runRoute(downloadZip, context, { id: "20" }, caller);
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      if (chunks.length === 0) expect(opened.length).toBeLessThan(5);
      chunks.push(chunk);
    }
    expect(opened).toEqual(committed.map((one) => `tasks/20/1/${one.name}`));
    const files = unzip(new Uint8Array(await new Blob(chunks).arrayBuffer()));
    expect(files).toEqual(Object.fromEntries(committed.map((one) => [one.name, "x".repeat(200_000)])));
    committed = before;
    pageFiles = Infinity;
  });

  test("a file that disappears in between cuts the stream instead of inventing bytes", async () => {
    const gone = await commit(10, "vanished.png", "soon gone");
    await env.FILES.delete("tasks/20/1/vanished.png");
    await expect(zip().then((response) => response.arrayBuffer())).rejects.toThrow();
    committed.splice(committed.indexOf(gone), 1);
  });

  test("P10: without files, with too many, or with an unreadable frame list it is refused with the reason", async () => {
    const before = committed;
    committed = [];
    expect(await problem(await zip())).toMatchObject({ status: 404 });
    committed = Array.from({ length: MAX_ZIP_FILES + 1 }, (_, i) => ({
      frame: i,
      name: `${i}.png`,
      size: 1,
      sha256: "",
      attempt: 1,
    }));
    expect(await problem(await zip())).toMatchObject({ status: 422, fields: ["frames"] });
    expect(await problem(await zip("frames=x"))).toMatchObject({ status: 422, fields: ["frames"] });
    committed = before;
  });
});

/**
 * Read a stored zip by its central directory, checking every CRC, size and signature on the way.
 */
function unzip(bytes: Uint8Array): Record<string, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  expect(view.getUint32(end, true)).toBe(0x06054b50);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  const files: Record<string, string> = {};
  for (let i = 0; i < count; i++) {
    expect(view.getUint32(at, true)).toBe(0x02014b50);
    expect(view.getUint16(at + 10, true)).toBe(0);
    const [crc, size, local] = [
      view.getUint32(at + 16, true),
      view.getUint32(at + 24, true),
      view.getUint32(at + 42, true),
    ];
    const nameLength = view.getUint16(at + 28, true);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    expect(view.getUint32(local, true)).toBe(0x04034b50);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const data = bytes.subarray(start, start + size);
    expect(crc32(data)).toBe(crc);
    files[name] = new TextDecoder().decode(data);
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  expect(at).toBe(end);
  return files;
}

function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
