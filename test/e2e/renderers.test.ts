/**
 * Plans on the real programs, Blender and ffmpeg. Tests what no unit test can: that Blender names
 * its files as the plan says, that its own words become the reason of a failure, and that no
 * setting becomes Python.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pythonValue } from "../../src/compilers/blender-script.ts";
import { describeWith } from "../support/programs.ts";
import { runPlan } from "../support/run-plan.ts";
import { SEED } from "../support/seed.ts";

const folder = mkdtempSync(path.join(tmpdir(), "tablao-renderers-"));
const scenes = path.join(folder, "scenes");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Makes all scenes of the tests in one run of Blender. Cycles with one sample: a frame takes a
 * tenth of a second.
 */
const MAKE_SCENES = `
import bpy, os
def fresh():
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    return scene
def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(${JSON.stringify(scenes)}, name + ".blend"))
fresh()
bpy.data.scenes.new("Night 'n' \\"day\\"")
save("plain")
fresh().cycles.use_denoising = True
save("denoise")
scene = fresh()
image = bpy.data.images.new("Wood", 4, 4)
image.source, image.filepath = "FILE", "//textures/wood.png"
material = bpy.data.objects["Cube"].data.materials[0]
node = material.node_tree.nodes.new("ShaderNodeTexImage")
node.image = image
material.node_tree.links.new(node.outputs[0], material.node_tree.nodes["Principled BSDF"].inputs[0])
unused = bpy.data.images.new("Unused", 4, 4)
unused.source, unused.filepath, unused.use_fake_user = "FILE", "//textures/unused.png", True
save("texture")
fresh()
bpy.data.texts.new("boom.py").from_string("raise RuntimeError('rig is broken')")
bpy.data.texts["boom.py"].use_module = True
save("script")
scene = fresh()
second = bpy.data.objects.new("Second", bpy.data.cameras.new("Second"))
scene.collection.objects.link(second)
scene.timeline_markers.new("cut", frame=1).camera = second
save("cameras")
scene = fresh()
scene.render.use_multiview = True
save("stereo")
`;

const render = (type: string, settings: Record<string, unknown>, frames: number[], input = scenes) =>
  runPlan(type, settings, frames, input, mkdtempSync(path.join(folder, "out-")));

const scene = (name: string, settings: Record<string, unknown> = {}) => ({
  file: `${name}.blend`,
  assets: [{ path: `${name}.blend`, sha256: "0".repeat(64), size: 1 }],
  ...settings,
});

describeWith(
  "blender",
  "ffprobe",
  "python3",
)("blender_render on Blender", () => {
  beforeAll(() => {
    mkdirSync(path.join(scenes, "textures"), { recursive: true });
    const args = ["--background", "--factory-startup", "--python-exit-code", "1", "--python-expr", MAKE_SCENES];
    const made = spawnSync("blender", args, { encoding: "utf8" });
    if (made.status !== 0)
      throw new Error(`Blender does not make the scenes: ${made.error?.message ?? made.stdout + made.stderr}`);
    copyFileSync(path.join(scenes, "plain.blend"), path.join(scenes, "truncated.blend"));
    truncateSync(path.join(scenes, "truncated.blend"), 300_000);
  });

  it("P11: writes exactly the files of the plan: gaps, ranges, below 0, and beyond four digits", () => {
    const frames = [-10_000, -5, -4, -3, -1, 0, 1, 3, 7, 8, 9_999, 10_000];
    const { status, files, names, events, reason } = render("blender_render", scene("plain"), frames);
    expect({ status, reason, files }).toEqual({ status: 0, reason: null, files: names });
    expect(events.flatMap((event) => (event.kind === "saved" ? [event.frame] : []))).toEqual(frames);
    expect(events.flatMap((event) => (event.kind === "frame" ? [event.frame] : []))).toEqual(frames);
  });

  it("applies every override", () => {
    const settings = {
      format: "JPEG",
      engine: "CYCLES",
      resolution_percentage: 50,
      samples: 3,
      camera: "Camera",
      denoise: false,
    };
    const { status, files, out, events } = render("blender_render", scene("denoise", settings), [2]);
    expect({ status, files }).toEqual({ status: 0, files: ["frame_0002.jpg"] });
    const size = spawnSync(
      "ffprobe",
      ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", path.join(out, files[0]!)],
      { encoding: "utf8" },
    );
    expect(size.stdout.trim()).toBe("32,18");
    expect(events.some((event) => event.kind === "activity" && event.text === "Sample 3/3")).toBe(true);
  });

  it("renders through the requested camera, also where a marker names another", () => {
    const camera = (name?: string) => {
      const { files, out } = render("blender_render", scene("cameras", name ? { camera: name } : {}), [1]);
      // Blender records in the picture which camera it rendered.
      return /Camera\0(Camera|Second)/.exec(readFileSync(path.join(out, files[0]!), "latin1"))?.[1];
    };
    expect([camera(), camera("Camera"), camera("Second")]).toEqual(["Second", "Camera", "Second"]);
  });

  it("renders another scene of the file, whatever its name", () => {
    const { reason } = render("blender_render", scene("plain", { scene: "Night 'n' \"day\"" }), [1]);
    // The scene is empty: Blender's message about that shows that it rendered this scene.
    expect(reason).toBe("Cannot render, no camera");
  });

  it.each([
    ["denoise", {}, "Build without OpenImageDenoiser"],
    ["truncated", {}, /^Failed to read blend file '.*truncated\.blend'/],
    ["gone", {}, /^Cannot read file '.*gone\.blend': No such file or directory$/],
    ["texture", {}, "missing file 'textures/wood.png' (image \"Wood\")"],
    ["plain", { camera: "Cam'\"\\\u{1f600}" }, 'there is no camera "Cam\'"\\\u{1f600}" in the file (it has: Camera)'],
    ["plain", { scene: "Tomorrow" }, /^there is no scene "Tomorrow" in the file/],
    ["stereo", {}, /^the scene writes one file for each stereo view/],
    ["script", { autoexec: true }, "Python: RuntimeError: rig is broken"],
  ])("%s %j fails with a reason for people", (name, settings, reason) => {
    const run = render("blender_render", scene(name, settings), [1]);
    expect(run.reason).toMatch(reason);
    expect(run.events.some((event) => event.kind === "error" && event.fatal)).toBe(true);
    // A failing script of the file is the one case where Blender goes on and exits 0.
    if (name === "script") expect(run.status).toBe(0);
    else {
      expect(run.status).not.toBe(0);
      expect(run.files).toEqual([]);
    }
  });

  it("renders without the texture when that is allowed, and with it when it is there", () => {
    expect(render("blender_render", scene("texture", { allow_missing_files: true }), [1])).toMatchObject({
      status: 0,
      reason: null,
    });
    writeFileSync(
      path.join(scenes, "textures", "wood.png"),
      readFileSync(path.join(render("blender_render", scene("plain"), [1]).out, "frame_0001.png")),
    );
    expect(render("blender_render", scene("texture"), [1])).toMatchObject({
      status: 0,
      reason: null,
      files: ["frame_0001.png"],
    });
  });

  it("P9: does not run the file's scripts unless asked", () => {
    expect(render("blender_render", scene("script"), [1])).toMatchObject({
      status: 12,
      files: [],
      reason:
        'the script "boom.py" of the file is to run when it is loaded, and scripts are off: submit it with --autoexec',
    });
  });
});

describeWith("python3")("values in Python", () => {
  it("P9: real Python reads every value back as it was", () => {
    const hostile = [
      '"',
      "'",
      "\\",
      "\n",
      "\r",
      "\0",
      "\u2028",
      '")',
      '"""',
      "\\u0022",
      "{}",
      "😀",
      "é",
      "\u007f",
      "#",
      "%s",
    ];
    const text = fc
      .array(fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: "binary", maxLength: 3 })), { maxLength: 8 })
      .map((a) => a.join("").toWellFormed());
    const values = fc.sample(fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.integer(), fc.constant(null))), {
      numRuns: 300,
      seed: SEED,
    });
    const program = `import json\nread = [${values.map((value) => pythonValue(value)).join(",\n")}]\nprint(json.dumps(read))`;
    const python = spawnSync("python3", ["-"], { input: program, encoding: "utf8" });
    expect(python.stderr).toBe("");
    expect(JSON.parse(python.stdout)).toEqual(JSON.parse(JSON.stringify(values)));
  });
});

describeWith("ffmpeg", "ffprobe")("ffmpeg_video on ffmpeg", () => {
  const frames = path.join(folder, "frames");
  beforeAll(() => {
    mkdirSync(frames);
    const made = spawnSync(
      "ffmpeg",
      [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=red:s=65x37:r=24,format=rgb24",
        "-frames:v",
        "6",
        path.join(frames, "%06d.png"),
      ],
      { encoding: "utf8" },
    );
    if (made.status !== 0) throw new Error(`ffmpeg makes no frames: ${made.error?.message ?? made.stderr}`);
  });

  it("makes an H.264 video of every frame, with even sides and the right colours", () => {
    const { status, files, reason, out } = render("ffmpeg_video", { task: 1, fps: 12 }, [1], frames);
    expect({ status, files, reason }).toEqual({ status: 0, files: ["video.mp4"], reason: null });
    const video = path.join(out, "video.mp4");
    const probe = spawnSync(
      "ffprobe",
      [
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=codec_name,width,height,pix_fmt,r_frame_rate,nb_read_frames",
        "-of",
        "json",
        video,
      ],
      { encoding: "utf8" },
    );
    expect(JSON.parse(probe.stdout).streams).toEqual([
      { codec_name: "h264", width: 66, height: 38, pix_fmt: "yuv420p", r_frame_rate: "12/1", nb_read_frames: "6" },
    ]);
    const pixel = spawnSync("ffmpeg", [
      "-v",
      "error",
      "-i",
      video,
      "-vf",
      "format=rgb24,crop=1:1:30:18",
      "-frames:v",
      "1",
      "-f",
      "rawvideo",
      "-pix_fmt",
      "rgb24",
      "-",
    ]);
    const [red, green, blue] = [...pixel.stdout];
    expect(red).toBeGreaterThan(245);
    expect(Math.max(green!, blue!)).toBeLessThan(10);
    // The index stands before the pictures, so that players can start before the whole file has
    // arrived.
    const bytes = readFileSync(video);
    expect(bytes.indexOf("moov")).toBeLessThan(bytes.indexOf("mdat"));
  });

  it("fails on a damaged frame instead of leaving it out", () => {
    const damaged = path.join(folder, "damaged");
    mkdirSync(damaged);
    for (const name of readdirSync(frames)) copyFileSync(path.join(frames, name), path.join(damaged, name));
    writeFileSync(path.join(damaged, "000003.png"), "not a picture");
    const { status, reason } = render("ffmpeg_video", { task: 1 }, [1], damaged);
    expect(status).not.toBe(0);
    expect(reason).toMatch(/^Invalid PNG signature/);
  });
});
