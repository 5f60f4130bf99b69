import { execFileSync } from "node:child_process";
import { truncateSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { open, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeManager, problem, sha256 } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { MAX_BATCHED_FILE_BYTES, readBatchList } from "../protocol/asset-batch.ts";
import { PART_BYTES } from "../protocol/file.ts";
import { piecesOfParts, pieceListText } from "../protocol/piece-list.ts";
import { sendInputs } from "../cli/send-inputs.ts";
import { downloadTo, keepHalfFiles } from "./download.ts";
import { ManagerClient } from "./manager-client.ts";
import { hashFile } from "./file-hash.ts";
import { sendAsset, uploadOutput } from "./upload.ts";

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;

beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
  folder = temporaryFolder("transfer");
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

describe("upload", () => {
  const there = { status: 201 };
  const changed = {
    status: 422,
    problem: { type: "/problems/invalid", title: "", status: 422, code: "invalid", detail: "" },
  };
  const files = async (...contents: (string | Buffer)[]) =>
    await Promise.all(
      contents.map(async (content, i) => {
        const file = join(folder.path, `f${i}`);
        await writeFile(file, content);
        return { path: `f${i}`, file };
      }),
    );
  const missing = (...contents: (string | Buffer)[]) =>
    manager.on("POST", /^\/assets\/missing$/, () => ({ status: 200, json: { missing: contents.map(sha256) } }));
  /** Answers batches as a manager does; the hashes in `otherwise` get the answers given there. */
  const takeBatches = (otherwise: Record<string, object> = {}) =>
    manager.on("POST", /^\/assets$/, ({ headers }) => {
      const list = readBatchList(String(headers["tablao-assets"]));
      const assets = (list.ok ? list.value : []).map((file) => ({ ...file, ...(otherwise[file.sha256] ?? there) }));
      return { status: 200, json: { assets } };
    });
  const takePuts = () =>
    manager.on("PUT", /^\/assets\//, ({ path, body }) => {
      const name = path.split("/").at(-1)!;
      return name === sha256(body)
        ? { status: 201, json: { sha256: name, size: body.length } }
        : problem(422, "invalid");
    });

  test("of many assets asks in one request which are missing, and sends the small ones together", async () => {
    const large = Buffer.alloc(MAX_BATCHED_FILE_BYTES + 1, "x");
    const inputs = await files("a", "b", "cc", large, "", "a");
    missing("a", "cc", large, "");
    takeBatches();
    takePuts();
    expect(await sendInputs(client, inputs, true)).toMatchObject({ sentBytes: 3 + large.length, known: 1 });
    expect(manager.to(/missing/)).toHaveLength(1);
    const [batch, ...more] = manager.to(/^\/assets$/);
    expect(more).toEqual([]);
    expect(String(batch!.body)).toBe("acc");
    expect(batch!.headers).toMatchObject({
      "content-length": "3",
      "tablao-assets": `${sha256("a")}:1,${sha256("cc")}:2,${sha256("")}:0`,
    });
    expect(manager.calls.filter((call) => call.method === "PUT").map((call) => call.body.length)).toEqual([
      large.length,
    ]);
  });

  test("a thousand small assets are 42 requests, and a failed batch is sent again unchanged", async () => {
    const contents = Array.from({ length: 1_000 }, (_, i) => `file ${i}`);
    const inputs = await files(...contents);
    missing(...contents);
    let failures = 0;
    manager.on("POST", /^\/assets$/, () => (failures++ < 2 ? problem(503, "overloaded") : undefined));
    takeBatches();
    const { sentBytes } = await sendInputs(client, inputs, true);
    expect(sentBytes).toBe(contents.join("").length);
    const sent = manager.to(/^\/assets$/).map(({ body }) => String(body));
    expect(sent).toHaveLength(42 + 2);
    expect([...new Set(sent)].toSorted().join("").length).toBe(contents.join("").length);
  });

  test("assets that a batch did not store are sent alone, and only those", async () => {
    const inputs = await files("fine", "unlucky", "lost", "fine, too");
    missing("fine", "unlucky", "lost", "fine, too");
    const busy = { status: 503, problem: { ...changed.problem, status: 503, code: "overloaded" } };
    takeBatches({ [sha256("unlucky")]: busy, [sha256("lost")]: busy });
    takePuts();
    expect(await sendInputs(client, inputs, true)).toMatchObject({ sentBytes: 24, known: 0 });
    const puts = manager.calls.filter((call) => call.method === "PUT").map((call) => String(call.body));
    expect(puts.toSorted()).toEqual(["lost", "unlucky"]);
  });

  test("an asset of a batch that changes, in length or not, is named in the error; the others have arrived", async () => {
    for (const now of ["hallo", "hello, world"]) {
      const inputs = await files("before", "hello", "after");
      manager.handlers.length = 0;
      manager.on("POST", /^\/assets\/missing$/, async () => {
        await writeFile(inputs[1]!.file, now);
        return { status: 200, json: { missing: ["before", "hello", "after"].map(sha256) } };
      });
      takeBatches({ [sha256("hello")]: changed });
      takePuts();
      await expect(sendInputs(client, inputs, true)).rejects.toThrow(/^f1 changed while it was being sent$/);
      expect(String(manager.to(/^\/assets$/).at(-1)!.body)).toBe("beforeafter");
    }
  });

  test("an asset that has changed before it is sent is not stored, and the error says so", async () => {
    const file = join(folder.path, "a");
    await writeFile(file, "hello");
    manager
      .on("POST", /^\/assets\/missing$/, () => ({ status: 200, json: { missing: [sha256("hello")] } }))
      .on("PUT", /^\/assets\//, () => problem(422, "invalid"));
    await expect(sendInputs(client, [{ path: "a", file }], true)).rejects.toThrow(/changed while it was being sent/);
  });

  test("a large file is sent in parts; parts that have arrived are not sent again", async () => {
    const bytes = Buffer.alloc(2 * PART_BYTES + 1_000, "xy");
    const part = (i: number) => bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
    const file = join(folder.path, "big");
    await writeFile(file, bytes);
    const sum = sha256(bytes);
    manager
      .on("GET", /\/parts$/, () => ({
        status: 200,
        // Part 2 belongs to another file: a part with another hash does not count.
        json: {
          part_bytes: PART_BYTES,
          parts: [
            { number: 1, size: PART_BYTES, sha256: sha256(part(0)) },
            { number: 2, size: PART_BYTES, sha256: sha256("other") },
          ],
        },
      }))
      .on("PUT", /\/parts\/\d$/, (call) =>
        sha256(call.body) === call.headers["tablao-sha256"] ? { status: 204 } : problem(422, "invalid"),
      )
      .on("POST", /\/assemble$/, () => ({ status: 201, json: { sha256: sum, size: bytes.length } }));
    const progress: number[] = [];
    const sent = await sendAsset(client, file, await hashFile(file), { onProgress: (done) => progress.push(done) });
    expect(sent).toEqual({ sent: PART_BYTES + 1_000 });
    expect(
      manager
        .to(/\/parts\/\d$/)
        .map((call): [number, number] => [Number(call.path.slice(-1)), call.body.length])
        .toSorted((a, b) => a[0] - b[0]),
    ).toEqual([
      [2, PART_BYTES],
      [3, 1_000],
    ]);
    expect(manager.to(/\/assemble$/)[0]!.json).toEqual({ size: bytes.length, sha256: sum });
    expect(progress[0]).toBe(PART_BYTES);
    expect(progress.at(-1)).toBe(bytes.length);
  });

  test("the parts of a file beyond 2 and 4 GiB are its own bytes, whole", async () => {
    const size = 2 ** 32 + 2 * PART_BYTES + 500;
    const count = Math.ceil(size / PART_BYTES);
    const file = join(folder.path, "sparse");
    const marked = await open(file, "w");
    await marked.truncate(size);
    const sentParts = [1, 2 ** 31 / PART_BYTES, 2 ** 31 / PART_BYTES + 1, 2 ** 32 / PART_BYTES + 1, count];
    for (const number of sentParts) await marked.write(`part ${number}`, (number - 1) * PART_BYTES + 100);
    await marked.close();
    const hash = {
      size,
      sha256: "0a".repeat(32),
      crc32: "00000000",
      parts: Array<string>(count).fill("0b".repeat(32)),
    };
    const parts = Array.from({ length: count }, (_, i) => ({
      number: i + 1,
      size: PART_BYTES,
      sha256: hash.parts[i]!,
    }));
    manager
      .on("GET", /\/parts$/, () => ({
        status: 200,
        json: { part_bytes: PART_BYTES, parts: parts.filter(({ number }) => !sentParts.includes(number)) },
      }))
      .on("PUT", /\/parts\/\d+$/, () => ({ status: 204 }))
      .on("POST", /\/assemble$/, () => ({ status: 201, json: { sha256: hash.sha256, size } }));
    const once = new ManagerClient({ url: manager.url, secret: "s", retryForMs: 0 });
    expect(await sendAsset(once, file, hash)).toEqual({ sent: 4 * PART_BYTES + 500 });
    const arrived = manager
      .to(/\/parts\/\d+$/)
      .map(({ path, body }) => [Number(/\d+$/.exec(path)![0]), body.length, String(body.subarray(100, 108))])
      .toSorted((a, b) => Number(a[0]) - Number(b[0]));
    expect(arrived).toEqual(
      sentParts.map((number) => [
        number,
        number === count ? 500 : PART_BYTES,
        `part ${number}`.padEnd(8, "\0").slice(0, 8),
      ]),
    );
  });

  test("an empty file is sent as an empty body", async () => {
    takePuts();
    const file = join(folder.path, "empty");
    await writeFile(file, "");
    expect(await sendAsset(client, file, await hashFile(file))).toEqual({ sent: 0 });
    expect(manager.to(/^\/assets\//).map(({ body, headers }) => [body.length, headers["content-length"]])).toEqual([
      [0, "0"],
    ]);
  });

  test("a file that becomes shorter while it is sent fails the upload, and is named", async () => {
    const file = join(folder.path, "shrinks");
    await writeFile(file, Buffer.alloc(3_000_000, "x"));
    const hash = await hashFile(file);
    let sent = 0;
    const onProgress = (): void => {
      if (sent++ === 1) truncateSync(file, 1_000);
    };
    await expect(sendAsset(client, file, hash, { onProgress })).rejects.toThrow(/shrinks was changed while/);
  });

  test("P11: a receipt for other bytes is not accepted", async () => {
    const file = join(folder.path, "f.png");
    await writeFile(file, "mine");
    manager.on("PUT", /\/outputs\/f\.png$/, () => ({
      status: 201,
      json: { receipt: "r", name: "f.png", size: 4, sha256: sha256("else") },
    }));
    await expect(
      uploadOutput(client, file, { taskId: 1, name: "f.png", grant: { "Tablao-Grant-Token": "g" } }),
    ).rejects.toThrow(/other bytes/);
    expect(manager.to(/outputs/)[0]!.headers).toMatchObject({
      "tablao-grant-token": "g",
      "tablao-sha256": sha256("mine"),
      "tablao-crc32": crc32("mine").toString(16).padStart(8, "0"),
      "content-length": "4",
    });
  });

  test("an output in parts has the CRC-32 of the whole, and the name of the list of its parts, with the request that puts it together", async () => {
    const bytes = Buffer.alloc(PART_BYTES + 1_000, "xyz");
    const file = join(folder.path, "f.exr");
    await writeFile(file, bytes);
    const sum = sha256(bytes);
    manager
      .on("GET", /\/parts$/, () => ({ status: 200, json: { part_bytes: PART_BYTES, parts: [] } }))
      .on("PUT", /\/parts\/\d$/, () => ({ status: 204 }))
      .on("POST", /\/assemble$/, () => ({
        status: 201,
        json: { receipt: "r", name: "f.exr", size: bytes.length, sha256: sum },
      }));
    await uploadOutput(client, file, { taskId: 1, name: "f.exr", grant: { "tablao-grant-token": "g" } });
    const sent = manager
      .to(/outputs/)
      .map(({ method, headers }) => [method, headers["tablao-crc32"], headers["tablao-pieces"]]);
    const parts = [bytes.subarray(0, PART_BYTES), bytes.subarray(PART_BYTES)].map(sha256);
    const list = sha256(pieceListText(piecesOfParts(bytes.length, parts)));
    expect(sent).toEqual([
      ["GET", undefined, undefined],
      ["PUT", undefined, undefined],
      ["PUT", undefined, undefined],
      ["POST", crc32(bytes).toString(16).padStart(8, "0"), list],
    ]);
    // A manager of an earlier release refuses fields that it does not know, and ignores headers.
    expect(manager.to(/\/assemble$/)[0]!.json).toEqual({ size: bytes.length, sha256: sum });
  });
});

describe("download", () => {
  const bytes = Buffer.from("0123456789".repeat(1_000));
  const serve = (cutAt: number | undefined, ranges = true) =>
    manager.on("GET", /^\/file$/, ({ headers }) => {
      const from = ranges ? Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0) : 0;
      if (from >= bytes.length) return problem(416, "range_not_satisfiable");
      const rest = bytes.subarray(from);
      const cut = headers.range === undefined && cutAt !== undefined;
      return {
        status: from > 0 ? 206 : 200,
        bytes: cut ? rest.subarray(0, cutAt) : rest,
        headers: { "content-length": String(cut ? cutAt : rest.length) },
      };
    });

  test("a partial download continues where it ended", async () => {
    serve(undefined);
    const file = join(folder.path, "sub", "x");
    await downloadTo(client, file, "/file", { sha256: sha256(bytes) });
    const other = join(folder.path, "y");
    await writeFile(`${other}.part`, bytes.subarray(0, 4_000));
    expect(await downloadTo(client, other, "/file", { sha256: sha256(bytes) })).toEqual({
      size: 10_000,
      received: 6_000,
    });
    expect(await readFile(other)).toEqual(bytes);
    await expect(stat(`${other}.part`)).rejects.toThrow("ENOENT");
    expect(manager.calls.at(-1)!.headers.range).toBe("bytes=4000-");
  });

  test("P11: downloads of one file at the same time do not spoil each other, and leave nothing beside it", async () => {
    const bytes = randomBytes(3_000_000);
    let asked = 0;
    const all = Promise.withResolvers<void>();
    manager.on("GET", /^\/file$/, async () => {
      if (++asked === 4) all.resolve();
      await all.promise;
      return { status: 200, bytes };
    });
    const file = join(folder.path, "f");
    const each = Array.from({ length: 4 }, () => downloadTo(client, file, "/file", { sha256: sha256(bytes) }));
    for (const { size } of await Promise.all(each)) expect(size).toBe(bytes.length);
    expect(sha256(await readFile(file))).toBe(sha256(bytes));
    expect(await readdir(folder.path)).toEqual(["f"]);
  });

  test("a download whose process was killed is taken up again by the next one that holds the folder", async () => {
    const bytes = Buffer.from("0123456789".repeat(1_000));
    manager.on("GET", /^\/file$/, ({ headers }) => {
      const from = Number(/^bytes=(\d+)-$/.exec(String(headers.range))?.[1] ?? 0);
      return { status: from > 0 ? 206 : 200, bytes: bytes.subarray(from) };
    });
    const file = join(folder.path, "f");
    await writeFile(`${file}.part.${crypto.randomUUID()}`, bytes.subarray(0, 6_000));
    await keepHalfFiles(folder.path);
    expect(await downloadTo(client, file, "/file", { sha256: sha256(bytes) })).toEqual({
      size: 10_000,
      received: 4_000,
    });
    expect(await readdir(folder.path)).toEqual(["f"]);
  });

  test("a partial download of other bytes, or one that is too long, is dropped and fetched whole", async () => {
    serve(undefined);
    for (const start of [Buffer.from("garbage"), Buffer.alloc(20_000)]) {
      const file = join(folder.path, `z${start.length}`);
      await writeFile(`${file}.part`, start);
      await downloadTo(client, file, "/file", { sha256: sha256(bytes) });
      expect(await readFile(file)).toEqual(bytes);
    }
  });

  // Where others may write into the folder, as on a shared drive, they can put something else there.
  test.skipIf(process.platform === "win32")(
    "P9: a half file that is a link changes no file elsewhere, and a pipe in the place of a file holds up nothing",
    async () => {
      serve(undefined);
      const elsewhere = join(folder.path, "elsewhere");
      await writeFile(elsewhere, "kept");
      const [linked, piped] = ["linked", "piped"].map((name) => join(folder.path, name)) as [string, string];
      await symlink(elsewhere, `${linked}.part`);
      for (const pipe of [piped, `${piped}.part`]) execFileSync("mkfifo", [pipe]);
      for (const file of [linked, piped]) {
        await downloadTo(client, file, "/file", { sha256: sha256(bytes) });
        expect(await readFile(file)).toEqual(bytes);
      }
      expect(await readFile(elsewhere, "utf8")).toBe("kept");
      expect((await readdir(folder.path)).toSorted()).toEqual(["elsewhere", "linked", "piped"]);
    },
  );

  test("an existing file with the right hash is not fetched; one with another hash is", async () => {
    serve(undefined);
    const file = join(folder.path, "w");
    await writeFile(file, bytes);
    expect(await downloadTo(client, file, "/file", { sha256: sha256(bytes) })).toEqual({ size: 10_000, received: 0 });
    expect(manager.calls).toEqual([]);
    await writeFile(file, "spoiled");
    expect(await downloadTo(client, file, "/file", { sha256: sha256(bytes) })).toEqual({
      size: 10_000,
      received: 10_000,
    });
  });

  test("P11: bytes with the wrong hash never get the file's name", async () => {
    serve(100);
    const file = join(folder.path, "v");
    await expect(downloadTo(client, file, "/file", { sha256: sha256("something else") })).rejects.toThrow(/wrong hash/);
    await expect(stat(file)).rejects.toThrow("ENOENT");
    await expect(stat(`${file}.part`)).rejects.toThrow("ENOENT");
  });

  test("P11: a file that is known by its parts is right by them, whatever SHA-256 its worker named", async () => {
    const large = Buffer.alloc(PART_BYTES + 9, "frame");
    const parts = [large.subarray(0, PART_BYTES), large.subarray(PART_BYTES)].map(sha256);
    const pieces = sha256(pieceListText(piecesOfParts(large.length, parts)));
    manager.on("GET", /^\/large$/, () => ({ status: 200, bytes: large }));
    const file = join(folder.path, "large");
    const wrong = { sha256: sha256("another file"), pieces };
    expect(await downloadTo(client, file, "/large", wrong)).toEqual({ size: large.length, received: large.length });
    expect(await downloadTo(client, file, "/large", wrong)).toEqual({ size: large.length, received: 0 });
    const other = { sha256: sha256(large), pieces: sha256("another list") };
    await expect(downloadTo(client, file, "/large", other)).rejects.toThrow(/wrong hash/);
  });

  test("a connection that breaks in the middle is continued without the caller", async () => {
    let broken = 0;
    manager.server.removeAllListeners("request");
    manager.server.on("request", (request, response) => {
      if (request.url === "/auth/access") {
        response.end(JSON.stringify({ access_token: "a", expires_ms: 1, expires_in_ms: 60_000 }));
        return;
      }
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length - from });
      if (from >= 5_000) response.end(bytes.subarray(from));
      else {
        broken++;
        response.write(bytes.subarray(from, from + 2_500), () => setTimeout(() => request.socket.destroy(), 20));
      }
    });
    const file = join(folder.path, "u");
    await downloadTo(client, file, "/file", { sha256: sha256(bytes) });
    expect(await readFile(file)).toEqual(bytes);
    // One more for each connection whose bytes had not arrived when it broke.
    expect(broken).toBeGreaterThanOrEqual(2);
  });
});
