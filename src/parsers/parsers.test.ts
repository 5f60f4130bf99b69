import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faultOf, findParser, PARSERS, reasonOf } from "./index.ts";
import type { ParserEvent } from "./parser.ts";

/** Parse recorded output (fixtures/), or lines, and collect the events. */
function read(parser: string, frames: number[], source: string | string[]): ParserEvent[] {
  const instance = findParser(parser)!.create(frames);
  const lines = Array.isArray(source)
    ? source
    : readFileSync(new URL(`./fixtures/${source}.txt`, import.meta.url), "utf8").split("\n");
  return lines.flatMap((line) => instance.line(line));
}

const of = <K extends ParserEvent["kind"]>(events: ParserEvent[], kind: K) =>
  events.filter((event): event is Extract<ParserEvent, { kind: K }> => event.kind === kind);

describe("blender_render, on what Blender 3.4 printed", () => {
  it("reports each frame's begin, its progress, memory and file, in this order", () => {
    const events = read("blender_render", [3, 10_000], "blender-3.4-success");
    const steps = events.filter((event) => event.kind === "frame" || event.kind === "saved");
    expect(steps).toEqual([
      { kind: "frame", frame: 3 },
      { kind: "saved", frame: 3, path: "/lease/out/frame_0003.png" },
      { kind: "frame", frame: 10_000 },
      { kind: "saved", frame: 10_000, path: "/lease/out/frame_10000.png" },
    ]);
    expect(of(events, "progress").map((event) => event.fraction)).toEqual([0, 1, 0, 1]);
    expect(of(events, "memory")[0]?.mib).toBeCloseTo(9.04, 1);
    expect(of(events, "activity").map((event) => event.text)).toContain("Sample 1/1");
    expect(of(events, "activity").map((event) => event.text)).toContain("Copying Attributes to device");
    expect(of(events, "error")).toEqual([]);
  });

  it.each([
    ["denoiser", "Build without OpenImageDenoiser"],
    ["truncated", "Failed to read blend file '/lease/in/trunc.blend': Missing DNA block"],
    ["no-file", "Cannot read file '/lease/in/none.blend': No such file or directory"],
    ["missing-texture", "missing file 'textures/wood.png' (image \"Wood\")"],
    ["missing-library", "missing file 'lib.blend' (library \"lib.blend\")"],
    ["python-error", "Python: RuntimeError: rig is broken"],
    ["camera", 'there is no camera "nope\'"\\ é😀" in the file (it has: Camera)'],
  ])("%s: the reason is Blender's own word, and fatal", (name, reason) => {
    const events = read("blender_render", [1], `blender-3.4-${name}`);
    expect(reasonOf(events)).toBe(reason);
    expect(of(events, "error").some((event) => event.fatal && event.text === reason)).toBe(true);
  });
});

describe("blender_render, line by line", () => {
  const events = (...lines: string[]) => read("blender_render", [1, 5], lines);

  it("reads the log style of Blender 5", () => {
    expect(
      events(
        "00:00.412  render           | Fra: 1 | Rendering 8 / 16 samples",
        "00:04.230  render           | Fra: 1 | Remaining: 01:43.50 | Mem: 1699M | Sample 32/128",
        "00:09.687  render           | Saved: '/lease/out/frame_0001.png'",
        "01:00:09.687  render           | Rendering frame 5",
      ),
    ).toEqual([
      { kind: "frame", frame: 1 },
      { kind: "progress", fraction: 0.5 },
      { kind: "activity", text: "Rendering 8 / 16 samples" },
      { kind: "remaining", seconds: 103.5 },
      { kind: "memory", mib: 1699 },
      { kind: "progress", fraction: 0.25 },
      { kind: "activity", text: "Sample 32/128" },
      { kind: "saved", frame: 1, path: "/lease/out/frame_0001.png" },
      { kind: "frame", frame: 5 },
    ]);
    expect(events("00:00.438  reports          | ERROR Cannot render, no camera")).toEqual([
      { kind: "error", text: "Cannot render, no camera", fatal: true, fault: "scene" },
    ]);
  });

  it("reads tiles, hours and gigabytes", () => {
    const line =
      "Fra:5 Mem:2.50G (Peak 3.00G) | Time:01:00.00 | Remaining:1:00:02.50 | Mem:9.00M, Peak:9.00M | Scene | Rendered 1/4 Tiles, Sample 32/64";
    expect(events(line)).toEqual([
      { kind: "frame", frame: 5 },
      { kind: "memory", mib: 2560 },
      { kind: "remaining", seconds: 3602.5 },
      { kind: "progress", fraction: 0.375 },
      { kind: "activity", text: "Rendered 1/4 Tiles, Sample 32/64" },
    ]);
  });

  it.each([
    ["ERROR (bke.modifier): ./modifier.cc:458 BKE_modifier_set_error: ", ""],
    ["00:01.361  object.modifier  | WARNING ", ""],
  ])("P12: warns of a modifier that does nothing: %s", (prefix) => {
    const warnings = of(events(`${prefix}Object: "Cube", Modifier: "mc", No such file or directory`), "warning");
    expect(warnings).toEqual([
      { kind: "warning", text: 'modifier "mc" of object "Cube": No such file or directory', picture: true },
    ]);
  });

  it.each([
    "Error in PyDriver: expression failed: wobble(frame)",
    'Color management: image "a" colorspace "ACEScg" not found, will use default instead.',
  ])("P12: warns of what may make the picture wrong: %s", (line) => {
    expect(events(line)).toEqual([{ kind: "warning", text: line.replace("Warning: ", ""), picture: true }]);
  });

  it("P12: colours of a configuration that the worker lacks are fatal, and so is a picture that Cycles cannot load", () => {
    const colours = 'Color management: scene view "AgX" not found, setting default "Standard".';
    expect(events(colours)).toEqual([{ kind: "error", text: colours, fatal: true }]);
    const picture = "Image file '/in/a.png' does not exist.";
    const line = `00:00.699  cycles           | ERROR ${picture}`;
    expect(events(line)).toEqual([{ kind: "error", text: picture, fatal: true }]);
    const allowed = 'tablao: scenes {"names": [], "may_lack_files": true}';
    expect(events(allowed, line)).toEqual([{ kind: "warning", text: picture, picture: false }]);
  });

  it("P12: an engine that is lacking is fatal for a scene that is rendered with it; EEVEE has two names", () => {
    const lacks = (engine: string, scene: string) =>
      `Error: Engine '${engine}' not available for scene '${scene}' (an add-on may need to be installed or enabled)`;
    const names = (...scenes: string[]) => `tablao: scenes ${JSON.stringify({ names: scenes, may_lack_files: false })}`;
    expect(events(lacks("FOO", "A"), names("B"))).toEqual([]);
    expect(events(lacks("FOO", "A"), lacks("BAR", "it's"), names("B", "it's"))).toEqual([
      {
        kind: "error",
        text: 'this Blender does not have the render engine BAR of scene "it\'s": install its add-on on the workers, or choose another (--engine)',
        fatal: true,
      },
    ]);
    expect(events(lacks("BLENDER_EEVEE", "A"), names("A"))).toEqual([]);
    expect(of(events(lacks("BLENDER_EEVEE_NEXT", "A"), names("A")), "warning")).toHaveLength(1);
    expect(events("tablao: scenes {", "tablao: scenes null", "tablao: scenes {}")).toEqual([]);
  });

  it("P6: what the script calls the scene's fault is one; of other errors it is not known whose", () => {
    const refused = { kind: "error", text: "scripts are off", fatal: true };
    expect(events("tablao: fault: scene", "Tablao: scripts are off")).toEqual([{ ...refused, fault: "scene" }]);
    expect(events("Tablao: scripts are off")).toEqual([refused]);
    // The mark is of the next fatal line alone, and of a fault that this agent knows.
    const twice = events("tablao: fault: scene", "Fra:1 Mem:1M", "Tablao: one", "Tablao: two");
    expect(of(twice, "error").map((event) => event.fault)).toEqual(["scene", undefined]);
    expect(events("tablao: fault: moon", "Tablao: scripts are off")).toEqual([refused]);
    expect(events("tablao: fault: scene", "Error: Build without Cycles")).toEqual([
      { kind: "error", text: "Build without Cycles", fatal: true },
    ]);
  });

  it("P6: that there is no camera is the scene's fault, unless a library that may have it may be missing", () => {
    const scenes = (allowed: boolean) => `tablao: scenes ${JSON.stringify({ names: [], may_lack_files: allowed })}`;
    const none = { kind: "error", text: "Cannot render, no camera", fatal: true };
    expect(events(scenes(false), "Error: Cannot render, no camera")).toEqual([{ ...none, fault: "scene" }]);
    expect(events("00:00.438  reports          | ERROR Cannot render, no camera")).toEqual([
      { ...none, fault: "scene" },
    ]);
    expect(events(scenes(true), "Error: Cannot render, no camera")).toEqual([none]);
  });

  it("the fault is that of the error which is shown", () => {
    const worker = { kind: "error", text: "no engine", fatal: true } as const;
    const scene = { kind: "error", text: "scripts are off", fatal: true, fault: "scene" } as const;
    expect(faultOf([{ kind: "error", text: "x", fatal: false }, scene, worker])).toBe("scene");
    expect(faultOf([worker, scene])).toBeUndefined();
    expect(faultOf([])).toBeUndefined();
  });

  it("reports a frame's begin once, and nothing of frames outside the lease", () => {
    const frames = of(
      events("Fra:1 Mem:1.00M | a", "Fra:1 Mem:1.00M | b", "Fra:7 Mem:1.00M | c", "Fra:-1 | d"),
      "frame",
    );
    expect(frames).toEqual([{ kind: "frame", frame: 1 }]);
  });

  it("recognises the frame of a saved file by our name for it, on Windows as well; other files have no frame", () => {
    expect(events("Saved: 'C:\\lease\\out\\frame_0005.exr'\r")).toEqual([
      { kind: "saved", frame: 5, path: "C:\\lease\\out\\frame_0005.exr" },
    ]);
    for (const path of ["/lease/out/frame_0006.png", "/x/passes_0005.png", "/it's here/a.png"]) {
      expect(events(`Saved: '${path}'`)).toEqual([{ kind: "saved", frame: null, path }]);
    }
  });

  it("takes a traceback's last line; in an add-on of the worker it is not fatal", () => {
    const traceback = (file: string) => [
      "Error: Python: Traceback (most recent call last):",
      `  File "${file}", line 3, in x`,
      "    f()",
      "KeyError: 'a'",
    ];
    expect(events(...traceback("/home/u/.config/blender/addons/x.py"))).toEqual([
      { kind: "error", text: "Python: KeyError: 'a'", fatal: false },
    ]);
    for (const file of ["/lease/in/shot.blend/rig.py", "<string>", "C:\\lease\\shot.blend\\rig.py"]) {
      expect(events(...traceback(file))).toEqual([{ kind: "error", text: "Python: KeyError: 'a'", fatal: true }]);
    }
    const log5 = [
      "00:01.000  reports          | ERROR Python: Traceback (most recent call last):",
      '                            |   File "/a/shot.blend/rig.py", line 1, in <module>',
      "                            | SyntaxError: invalid syntax",
    ];
    expect(events(...log5)).toEqual([{ kind: "error", text: "Python: SyntaxError: invalid syntax", fatal: true }]);
  });

  it("an unfinished traceback does not hide the frames after it", () => {
    const kinds = events("Traceback (most recent call last):", "Fra:1 | x", "Saved: '/o/frame_0001.png'").map(
      (event) => event.kind,
    );
    expect(kinds).toEqual(["frame", "activity", "saved"]);
  });

  it("knows what Blender says of a file that a newer version saved", () => {
    const newer = (binary: string) => `File written by newer Blender binary (${binary}), expect loss of data!`;
    // It may also be read, and then the picture may be wrong.
    const seen = (version: string, text: string) => [
      { kind: "newer_file", version },
      { kind: "warning", text, picture: true },
    ];
    expect(events(`Warning: ${newer("405.92")}`)).toEqual(seen("4.5", newer("405.92")));
    expect(events(`00:00.214  blend            | WARNING ${newer("501.3")}`)).toEqual(seen("5.1", newer("501.3")));
    expect(events(newer("306.13"))).toEqual(seen("3.6", newer("306.13")));
    const future = "Cannot read blend file 'shot.blend', incomplete header, may be from a newer version of Blender";
    expect(events(`Error: ${future}`)).toEqual([
      { kind: "newer_file", version: null },
      { kind: "error", text: future, fatal: true },
    ]);
  });

  it("keeps unknown errors as possible reasons, without treating them as fatal", () => {
    expect(events("Error: Region not found")).toEqual([{ kind: "error", text: "Region not found", fatal: false }]);
    expect(events("Error: script failed, expr: 'import json", "Info: x", "Warning: y", "ErrorX")).toEqual([]);
  });
});

describe("ffmpeg, on what ffmpeg 5.1 printed", () => {
  it("reports the begin, the growth and the end of the video, without an error", () => {
    const events = read("ffmpeg", [1], "ffmpeg-5.1-success");
    expect(of(events, "frame")).toEqual([{ kind: "frame", frame: 1 }]);
    expect(of(events, "progress").at(-1)?.fraction).toBe(1);
    expect(of(events, "activity").at(-1)?.text).toBe("encoded 5 frames");
    expect(reasonOf(events)).toBeNull();
  });

  it.each([
    ["truncated-frame", "chunk too big"],
    ["junk-frame", "Invalid PNG signature 0x00000000."],
    ["no-frames", "Could find no file with path '/lease/in/%06d.png' and index in the range 1-5"],
  ])("%s: the reason is ffmpeg's own word", (name, reason) => {
    expect(reasonOf(read("ffmpeg", [1], `ffmpeg-5.1-${name}`))).toBe(reason);
  });

  it("reports the last lines when there was no better reason", () => {
    expect(reasonOf(read("ffmpeg", [1], ["Conversion failed!"]))).toBe("Conversion failed!");
  });
});

describe("plain", () => {
  const events = (...lines: string[]) => read("plain", [-3, 7], lines);

  it("reads reports: begin, progress, file, end, error", () => {
    expect(
      events(
        "tablao: frame -3",
        "tablao: progress 0.25",
        "tablao: saved -3 /o/a b.png",
        "tablao: done 7",
        "tablao: error no light",
        "tablao: warning:  few lights ",
        "tablao: warning: ",
      ),
    ).toEqual([
      { kind: "frame", frame: -3 },
      { kind: "progress", fraction: 0.25 },
      { kind: "saved", frame: -3, path: "/o/a b.png" },
      { kind: "saved", frame: 7, path: "" },
      { kind: "error", text: "no light", fatal: true },
      { kind: "warning", text: "few lights", picture: false },
    ]);
  });

  it("ignores everything else, other frames and malformed reports included", () => {
    const others = [
      "Frame 7",
      " tablao: done 7",
      "tablao: done 8",
      "tablao: done",
      "tablao: done 7 x",
      "tablao: done 1e0",
      "tablao: saved 7",
      "tablao: progress 2",
      "tablao: frame 7 x",
      "tablao: stop 7",
    ];
    expect(events(...others)).toEqual([]);
  });
});

describe("every parser", () => {
  it("accepts any text of any length without an exception, quickly, and reports frames of the lease only", () => {
    const seeds = [
      "Fra:",
      "Fra: 1 | ",
      "Saved: '",
      "Error: ",
      "00:01.234  render           | ",
      "Traceback (most recent call last):",
      '  File "',
      "tablao: frame ",
      "tablao: saved 1 ",
      "frame=",
      "[png @ 0x1] ",
      "Sample 1/",
      "Remaining:",
      "Mem:",
      " ".repeat(40),
      "9".repeat(20),
    ];
    const line = fc
      .array(fc.oneof(fc.constantFrom(...seeds), fc.string({ unit: "binary", maxLength: 12 })), { maxLength: 10 })
      .map((a) => a.join(""));
    const lines = fc.array(line, { maxLength: 12 });
    for (const { name } of PARSERS) {
      fc.assert(
        fc.property(lines, (lines) => {
          for (const event of read(name, [1, 2], lines)) {
            if (event.kind === "frame") expect([1, 2]).toContain(event.frame);
            if (event.kind === "saved") expect([1, 2, null]).toContain(event.frame);
            if (event.kind === "progress") expect(event.fraction >= 0 && event.fraction <= 1).toBe(true);
            if (event.kind === "memory") expect(Number.isFinite(event.mib)).toBe(true);
            if (event.kind === "error") expect(event.text).not.toBe("");
          }
        }),
        { numRuns: 300 },
      );
      const start = performance.now();
      for (const seed of seeds)
        for (const tail of [" ", "|", "1", "'", "/ "])
          read(name, [1], [seed + tail.repeat(4_000), seed + tail.repeat(1_000_000)]);
      // A pattern that backtracks would take minutes here.
      expect(performance.now() - start).toBeLessThan(120_000);
    }
  });
});
