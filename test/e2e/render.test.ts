/**
 * The farm renders: a real manager, two agents, real Blender, and frames and a video with the
 * content of the scene.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect } from "vitest";
import { z } from "zod";
import { dayTotalsSchema } from "../../src/protocol/history.ts";
import { endFarm, startAgent, startManager, tablao, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { eventsThrough, filesOf, framesIn, range } from "../support/history.ts";
import { pixelsOf, pngSize, videoOf } from "../support/pictures.ts";
import { testWith } from "../support/programs.ts";
import { makeScenes, writeTexture, type Colour } from "../support/scenes.ts";

afterAll(endFarm);

const FRAMES = range(1, 24);
const GREEN: Colour = [20, 200, 60];
const BLUE: Colour = [30, 60, 220];
/** Blender's colours pass through floats and a dither. */
const CLOSE = 6;

const submittedSchema = z.object({ id: z.int(), video: z.object({ id: z.int() }) });

function isColour(seen: Colour, wanted: Colour): boolean {
  return seen.every((value, i) => Math.abs(value - wanted[i]!) <= CLOSE);
}

testWith(
  "blender",
  "ffmpeg",
  "ffprobe",
)(
  "P3, P7, P11: two agents render 24 frames of a scene with a linked texture, and a video; files, hashes and history agree",
  async () => {
    const folder = testFolder("shot");
    const { textured } = makeScenes(folder, "textured");
    writeTexture(path.join(folder, "textures", "floor.png"), GREEN, BLUE);
    const manager = await startManager();
    const agents = await Promise.all(["left", "right"].map((name) => startAgent(manager, { name })));

    const include = ["--include", path.join(folder, "textures")];
    const args = [textured, ...include, "--frames", "1-24", "--chunk", "2", "--video", "--json"];
    const submitted = await tablao(manager, "submit", ...args);
    expect(submitted).toMatchObject({ code: 0, stderr: "" });
    const { id, video } = submittedSchema.parse(submitted.json());
    const task = await untilStatus(manager, id, ["completed", "failed"], 150_000);
    expect(task).toMatchObject({ status: "completed", error: null, frames: { total: 24, done: 24 } });

    const files = await filesOf(manager, id);
    expect(files.map((file) => file.frame)).toEqual(FRAMES);
    // The cube moves: no frame can be a copy of another.
    expect(new Set(files.map((file) => file.sha256)).size).toBe(24);

    const out = path.join(folder, "out");
    expect((await tablao(manager, "download", String(id), out)).code).toBe(0);
    expect(readdirSync(out).toSorted()).toEqual(files.map((file) => file.name));
    for (const { name, size, sha256 } of files) {
      const bytes = readFileSync(path.join(out, name));
      expect({ size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }).toEqual({
        size,
        sha256,
      });
      expect(pngSize(bytes)).toEqual({ width: 96, height: 64 });
      // Both halves of the texture are there. A missing texture would be pink.
      const picture = pixelsOf(path.join(out, name));
      expect(picture).toMatchObject({ width: 96, height: 64 });
      const columns = range(0, 95);
      expect(columns.filter((x) => isColour(picture.at(x, 4), GREEN))).toEqual(columns);
      expect(columns.filter((x) => isColour(picture.at(x, 60), BLUE))).toEqual(columns);
    }

    await untilStatus(manager, video.id, ["completed", "failed"]);
    expect((await tablao(manager, "download", String(video.id), path.join(folder, "video"))).code).toBe(0);
    expect(readdirSync(path.join(folder, "video"))).toEqual(["textured.mp4"]);
    expect(videoOf(path.join(folder, "video", "textured.mp4"))).toEqual({
      codec_name: "h264",
      width: 96,
      height: 64,
      nb_read_frames: 24,
    });

    const events = await eventsThrough(manager, id, "completed");
    const done = framesIn(events, "done");
    expect(done.map((entry) => entry.frame).toSorted((a, b) => a - b)).toEqual(FRAMES);
    expect(new Set(done.map((entry) => entry.worker))).toEqual(new Set(agents.map((agent) => agent.id)));
    expect(events.filter((event) => event.kind === "error" || event.kind === "lost")).toEqual([]);
    for (const event of events) {
      expect(event.type).toBe("blender_render");
      if (event.kind === "done") expect(event.seconds).toBeGreaterThan(0);
    }
    // The facts of each frame agree with the history.
    const attempts = new Map(done.map(({ frame, attempt }) => [frame, attempt]));
    expect(files.map((file) => attempts.get(file.frame))).toEqual(files.map((file) => file.attempt));

    const videoEvents = await eventsThrough(manager, video.id, "completed");
    const { days } = await manager.client.call(dayTotalsSchema, "GET", "/history/days");
    const sum = (of: (day: (typeof days)[number]) => number): number => days.reduce((all, day) => all + of(day), 0);
    expect(sum((day) => day.frames)).toBe(25);
    expect(sum((day) => day.errors + day.lost)).toBe(0);
    const seconds = [...events, ...videoEvents].reduce((all, event) => all + (event.seconds ?? 0), 0);
    expect(sum((day) => day.seconds)).toBeCloseTo(seconds, 3);
    expect(Math.max(...days.map((day) => day.workers))).toBe(2);
    expect(Math.max(...days.map((day) => day.tasks))).toBe(2);
  },
);
