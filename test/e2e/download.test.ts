/**
 * Downloads of a whole task, read by programs that are not ours: Python's zipfile and tarfile, and
 * curl, which resumes.
 */
import { closeSync, createWriteStream, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import path from "node:path";
import { once } from "node:events";
import { afterAll, expect } from "vitest";
import type { Layout } from "../../src/files/archive/layout.ts";
import { tarLayout } from "../../src/files/archive/tar.ts";
import { zipLayout, type ZipEntry } from "../../src/files/archive/zip.ts";
import { crc32, crc32Text } from "../../src/lib/crc32.ts";
import { startChild } from "../support/child.ts";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { endFarm, startAgent, startManager, submit, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { filesOf } from "../support/history.ts";
import { testWith } from "../support/programs.ts";

afterAll(endFarm);

const MIB = 1024 * 1024;
/** By default six files of 50 MiB; `npm run test:long` makes them larger. */
const SIZE_MIB = Number(process.env["TABLAO_LARGE_MB"] ?? 300);
const FRAMES = 6;
/** Time to make, send or read these bytes: only ends a hang. */
const WITHIN_MS = 300_000 + SIZE_MIB * 1_000;

/** Writes a file of noise for each of the frames from 1 on; no two have the same size. */
const NOISE = `
const fs = require("node:fs"), path = require("node:path"), crypto = require("node:crypto");
const [out, last, bytes] = process.argv.slice(1);
const block = Buffer.alloc(1 << 20);
for (let frame = 1; frame <= Number(last); frame++) {
  const file = fs.openSync(path.join(path.dirname(out), "noise_" + String(frame).padStart(4, "0") + ".bin"), "w");
  for (let left = Number(bytes) - frame; left > 0; left -= block.length)
    fs.writeSync(file, crypto.randomFillSync(block), 0, Math.min(left, block.length));
  fs.closeSync(file);
}`;

/** Python: the SHA-256 of each file of an archive, by its path. Reading a zip checks the CRC-32s. */
const READ = `
import hashlib, json, sys, tarfile, urllib.request, zipfile
def sha256(file):
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
kind, source, *header = sys.argv[1:]
if kind == "zip":
    with zipfile.ZipFile(source) as archive:
        print(json.dumps({one.filename: sha256(archive.open(one)) for one in archive.infolist()}))
else:
    request = urllib.request.Request(source, headers={"Authorization": header[0]})
    with tarfile.open(fileobj=urllib.request.urlopen(request), mode="r|") as archive:
        print(json.dumps({one.name: sha256(archive.extractfile(one)) for one in archive}))
`;

async function python(script: string, ...args: string[]): Promise<unknown> {
  const child = startChild("python3", ["-c", script, ...args]);
  const { code } = await child.ended;
  if (code !== 0) throw new Error(child.stderr());
  return JSON.parse(child.stdout());
}

/** Fetch into a file until `bytes` have come, then go away, as somebody does who closes the lid. */
async function fetchSome(url: string, authorization: string, file: string, bytes: number): Promise<Response> {
  const proxy = await startCountingProxy(new URL(url).origin);
  const response = await fetch(url.replace(new URL(url).origin, proxy.url), { headers: { authorization } });
  const to = createWriteStream(file);
  let received = 0;
  try {
    for await (const chunk of response.body!) {
      if (!to.write(chunk)) await once(to, "drain");
      received += chunk.length;
      if (received >= bytes) proxy.cut();
    }
    throw new Error("the download was not cut");
  } catch (thrown) {
    if (received < bytes) throw thrown;
  } finally {
    to.end();
    await once(to, "finish");
    await proxy.close();
  }
  return response;
}

testWith("curl", "python3")(
  `a task of ${SIZE_MIB} MB is one zip, which curl resumes after a break, and one tar`,
  async () => {
    const folder = testFolder("download");
    const manager = await startManager();
    await startAgent(manager, { name: "noise", args: ["--allow-exec"] });
    const bytes = Math.ceil(SIZE_MIB / FRAMES) * MIB;
    const args = ["-e", NOISE, "{out:noise}", String(FRAMES), String(bytes)];
    const settings = { program: process.execPath, args, frames: `1-${FRAMES}`, outputs: "noise_####.bin" };
    const chunk = ["--chunk", String(FRAMES)];
    const id = await submit(manager, "--type", "exec", "--settings", JSON.stringify(settings), ...chunk);
    await untilStatus(manager, id, ["completed", "failed"], WITHIN_MS);
    const files = await filesOf(manager, id);
    const expected = Object.fromEntries(files.map(({ name, sha256 }) => [name, sha256]));
    expect(files.map(({ size }) => size)).toEqual(files.map((_, index) => bytes - index - 1));
    expect(files.filter(({ crc32 }) => crc32 === undefined)).toEqual([]);

    const authorization = `Bearer ${manager.token}`;
    const url = `${manager.url}/tasks/${id}/zip`;
    const zip = path.join(folder, "task.zip");
    const broken = await fetchSome(url, authorization, zip, Math.floor(SIZE_MIB / 2) * MIB);
    const total = Number(broken.headers.get("content-length"));
    const there = statSync(zip).size;
    expect([broken.headers.get("content-type"), there < total]).toEqual(["application/zip", true]);
    const curl = ["--silent", "--show-error", "--fail", "--header", `Authorization: ${authorization}`];
    const resumed = startChild("curl", [...curl, "--continue-at", "-", "--output", zip, "--write-out", "%{json}", url]);
    expect(await resumed.ended, resumed.stderr()).toMatchObject({ code: 0 });
    // Only what was missing has come.
    expect(JSON.parse(resumed.stdout())).toMatchObject({ http_code: 206, size_download: total - there });
    expect(statSync(zip).size).toBe(total);
    expect(await python(READ, "zip", zip)).toEqual(expected);
    expect(await python(READ, "tar", `${url}?format=tar`, authorization)).toEqual(expected);
  },
  2 * WITHIN_MS,
);

/** Write an archive of files of zeros, which need no place on the disk. */
function writeSparse(file: string, { size, segments }: Layout): void {
  const to = openSync(file, "w");
  ftruncateSync(to, size);
  let at = 0;
  for (const segment of segments) {
    if ("bytes" in segment) writeSync(to, segment.bytes(), 0, segment.size, at);
    at += segment.size;
  }
  closeSync(to);
}

/** Python: what the archive says, and that each file begins where it says. */
const LIST = `
import calendar, json, sys, tarfile, zipfile
kind, source = sys.argv[1:]
if kind == "zip":
    with zipfile.ZipFile(source) as archive:
        found = [[one.filename, one.file_size, calendar.timegm(one.date_time + (0, 0, 0))] for one in archive.infolist()]
        first = [list(archive.open(one).read1(1)) for one in archive.infolist()]
else:
    with tarfile.open(source) as archive:
        members = archive.getmembers()
        found = [[one.name, one.size, one.mtime] for one in members]
        first = [list(archive.extractfile(one).read(1)) for one in members]
print(json.dumps([found, first]))
`;

testWith("python3")("Python reads archives of files beyond 4 and 8 GiB, and names of every script", async () => {
  const folder = testFolder("sparse");
  const modifiedMs = Date.UTC(2026, 10, 27, 10, 30, 2);
  // Python reads the small files to their ends, and checks their CRC-32.
  const crc = (size: number): string => crc32Text(size < 10 ? crc32(new Uint8Array(size)) : 0);
  const sizes: [string, number][] = [
    ["small.exr", 5],
    ["just over 4 GiB.exr", 2 ** 32 + 7],
    ["after it, 絵.exr", 3],
    [`9/${"long ".repeat(38)}.exr`, 2 ** 33],
    ["the last one.exr", 1],
  ];
  const entries = sizes.map(([name, size]): ZipEntry => ({ path: name, size, modifiedMs, crc32: crc(size) }));
  const said = entries.map(({ path, size }) => [path, size, modifiedMs / 1_000]);
  for (const [format, layout] of [
    ["zip", zipLayout(entries)],
    ["tar", tarLayout(entries)],
  ] as const) {
    const file = path.join(folder, `large.${format}`);
    writeSparse(file, layout);
    expect(await python(LIST, format, file)).toEqual([said, entries.map(() => [0])]);
  }
});
