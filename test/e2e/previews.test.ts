/**
 * Previews: what ffmpeg makes of frames, what malicious files cannot make it do, and how previews
 * reach the page.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { makePreviews, previewName } from "../../src/agent/preview.ts";
import { framesPageSchema } from "../../src/protocol/task.ts";
import { endFarm, startAgent, startManager, submit, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { pixelsOf } from "../support/pictures.ts";
import { testWith } from "../support/programs.ts";

afterAll(endFarm);

const ffmpeg = (...args: string[]): void =>
  void execFileSync("ffmpeg", ["-v", "error", "-y", ...args], {
    timeout: 120_000,
    stdio: ["ignore", "ignore", "pipe"],
  });

/** The previews of files, where there are any, made together. */
async function previewsOf(folder: string, ...files: string[]): Promise<(string | undefined)[]> {
  const out = path.join(folder, "tmp");
  mkdirSync(out, { recursive: true });
  const pairs = files.map((file) => ({ file, target: path.join(out, `${path.basename(file)}.preview.jpg`) }));
  const made = await makePreviews(pairs, { command: ["ffmpeg"], folder: out, signal: new AbortController().signal });
  return pairs.map(({ target }, i) => (made[i] ? target : undefined));
}

test("have a name beside their output, for formats that can be read, unless the name would be too long", () => {
  expect(previewName("f_0001.png")).toBe("f_0001.png.preview.jpg");
  expect(previewName("f_0001.EXR")).toBe("f_0001.EXR.preview.jpg");
  for (const name of ["f.txt", "f", "f.m3u8", "f.concat", "constructor", ".png"])
    expect(previewName(name)).toBe(undefined);
  expect(previewName(`${"f".repeat(190)}.png`)).toBe(undefined);
});

testWith("ffmpeg", "ffprobe")(
  "are at most 320 pixels wide and high, never larger than the frame, of pictures and videos",
  async () => {
    const folder = testFolder("sizes");
    const kinds = [
      ["wide.png", "1280x720", [320, 180]],
      ["high.jpg", "600x1200", [160, 320]],
      ["small.tif", "40x30", [40, 30]],
      ["odd.webp", "641x361", [320, 180]],
      ["film.mp4", "640x360", [320, 180]],
      ["film.mkv", "640x360", [320, 180]],
      // Too large to be read in one run together with so many.
      ["large.png", "4096x2304", [320, 180]],
    ] as const;
    const files = kinds.map(([name]) => path.join(folder, name));
    for (const [i, [name, size]] of kinds.entries()) {
      ffmpeg(
        "-f",
        "lavfi",
        "-i",
        `testsrc2=s=${size}:d=0.2:r=10`,
        ...(name.startsWith("film") ? [] : ["-frames:v", "1"]),
        files[i]!,
      );
    }
    const sizes = (previews: (string | undefined)[]) =>
      previews.map((preview) => {
        const { width, height } = pixelsOf(preview!);
        return [width, height];
      });
    const expected = kinds.map(([, , size]) => size);
    expect(sizes(await previewsOf(folder, ...files))).toEqual(expected);
    for (const [i, file] of files.entries()) expect(sizes(await previewsOf(folder, file))).toEqual([expected[i]]);
  },
);

testWith("ffmpeg", "ffprobe")(
  "of EXR show light as a screen does: middle grey in the middle, and values above white distinct",
  async () => {
    const folder = testFolder("exr");
    const light = [0, 0.02, 0.18, 0.5, 1, 2, 4, 8];
    const row = new Float32Array(light.flatMap((value) => Array.from({ length: 16 }, () => value)));
    const plane = Buffer.concat(Array.from({ length: 16 }, () => Buffer.from(row.buffer)));
    writeFileSync(path.join(folder, "raw"), Buffer.concat([plane, plane, plane]));
    const file = path.join(folder, "f.exr");
    ffmpeg(
      "-f",
      "rawvideo",
      "-pix_fmt",
      "gbrpf32le",
      "-s",
      "128x16",
      "-i",
      path.join(folder, "raw"),
      "-frames:v",
      "1",
      file,
    );
    const picture = pixelsOf((await previewsOf(folder, file))[0]!);
    const greys = light.map((_, i) => picture.at(i * 16 + 8, 8)[1]);
    for (const [i, grey] of greys.entries()) if (i > 0) expect(grey).toBeGreaterThan(greys[i - 1]! + 2);
    // 0.18 is shown as 117 (gamma 2.2).
    expect(Math.abs(greys[2]! - 117)).toBeLessThan(6);
  },
);

testWith("ffmpeg")("P9: a playlist under a picture's name opens no other file", async () => {
  const folder = testFolder("hostile");
  const secret = path.join(folder, "secret.png");
  ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.04", "-frames:v", "1", secret);
  const texts = {
    "concat.png": `ffconcat version 1.0\nfile ${secret}\n`,
    "hls.mp4": `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${secret}\n#EXT-X-ENDLIST\n`,
    "hls.png": `#EXTM3U\n#EXTINF:1,\nfile://${secret}\n#EXT-X-ENDLIST\n`,
    "empty.png": "",
    "text.exr": "no picture",
  };
  const bad = [...Object.keys(texts), "not-there.png"].map((name) => path.join(folder, name));
  for (const [name, text] of Object.entries(texts)) writeFileSync(path.join(folder, name), text);
  // A name that looks like a pattern is one file.
  const good = path.join(folder, "f%d.png");
  copyFileSync(secret, good);
  const preview = path.join(folder, "tmp", "f%d.png.preview.jpg");
  for (const file of bad) expect([file, await previewsOf(folder, file)]).toEqual([file, [undefined]]);
  expect(await previewsOf(folder, good)).toEqual([preview]);
  // The good file has its preview also among the bad ones, at any position.
  const none = bad.map(() => undefined);
  expect(await previewsOf(folder, ...bad, good)).toEqual([...none, preview]);
  expect(await previewsOf(folder, good, ...bad)).toEqual([preview, ...none]);
  expect(existsSync(path.join(folder, "tmp", "concat.png.preview.jpg"))).toBe(false);
});

testWith("ffmpeg", "ffprobe")("come with each frame a farm renders, and are not in files and zips", async () => {
  const folder = testFolder("farm");
  const manager = await startManager();
  await startAgent(manager, { name: "with" });
  const id = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    '{"width":640,"height":360}',
    "--frames",
    "1-3",
  );
  await untilStatus(manager, id, ["completed"]);
  const headers = { Authorization: `Bearer ${manager.token}` };
  const page = framesPageSchema.parse(await (await fetch(`${manager.url}/tasks/${id}/frames`, { headers })).json());
  for (const { frame, attempt, files } of page.frames) {
    expect(files.map(({ kind }) => kind)).toEqual([undefined, "preview"]);
    const address = `${manager.url}/tasks/${id}/frames/${frame}/preview`;
    const answer = await fetch(`${address}?a=${attempt}`, { headers });
    expect([answer.status, answer.headers.get("Content-Type"), answer.headers.get("Cache-Control")]).toEqual([
      200,
      "image/jpeg",
      "private, max-age=31536000, immutable",
    ]);
    const file = path.join(folder, `${frame}.jpg`);
    writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
    expect(pixelsOf(file)).toMatchObject({ width: 320, height: 180 });
    expect(readFileSync(file).length).toBeLessThan(40_000);
    const later = await fetch(address, { headers });
    expect(later.headers.get("Cache-Control")).toBe("private, no-cache");
    await later.arrayBuffer();
    expect((await fetch(`${address}?a=${attempt! + 1}`, { headers })).status).toBe(404);
  }
  const listed = (await (await fetch(`${manager.url}/tasks/${id}/files`, { headers })).json()) as {
    files: { name: string }[];
  };
  expect(listed.files.map(({ name }) => path.extname(name))).toEqual([".png", ".png", ".png"]);
  const zip = Buffer.from(await (await fetch(`${manager.url}/tasks/${id}/zip`, { headers })).arrayBuffer());
  expect(zip.includes("preview")).toBe(false);
});

testWith("ffmpeg")("come with all frames of a task that renders them faster than ffmpeg starts", async () => {
  const folder = testFolder("many");
  const starts = path.join(folder, "starts");
  const ffmpegThatCounts = path.join(folder, "ffmpeg");
  writeFileSync(ffmpegThatCounts, `#!/bin/sh\necho start >> ${starts}\nexec ffmpeg "$@"\n`, { mode: 0o755 });
  const manager = await startManager();
  await startAgent(manager, { name: "counts", args: ["--ffmpeg", ffmpegThatCounts] });
  const settings = '{"width":64,"height":36,"samples":1}';
  const id = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    settings,
    "--frames",
    "1-80",
    "--chunk",
    "40",
  );
  await untilStatus(manager, id, ["completed"]);
  const headers = { Authorization: `Bearer ${manager.token}` };
  const page = framesPageSchema.parse(
    await (await fetch(`${manager.url}/tasks/${id}/frames?limit=100`, { headers })).json(),
  );
  expect(page.frames.map(({ files }) => files.map(({ kind }) => kind))).toEqual(
    Array.from({ length: 80 }, () => [undefined, "preview"]),
  );
  expect(readFileSync(starts, "utf8").split("\n").length).toBeLessThan(30);
});
