import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameArgument } from "./blender-render.ts";
import { blenderScript, pythonValue, type BlenderOverrides } from "./blender-script.ts";
import { checkPreset, compileSubmission, needsOf, planFor, resolveSubmission } from "./index.ts";

const asset = (path: string) => ({ path, sha256: "c".repeat(64), size: 1 });
const BASE = { file: "shot.blend", assets: [asset("shot.blend"), asset("textures/wood.png")], frames: "1-10" };

function compiled(settings: Record<string, unknown>, preset?: Record<string, unknown>, type = "blender_render") {
  const result = compileSubmission({ type, settings }, preset);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

function argsOf(settings: Record<string, unknown>, frames = [1], platform: "linux" | "darwin" | "windows" = "linux") {
  return planFor("blender_render", "blender_render", compiled(settings).settings, frames, platform).command.args;
}

function errorsOf(settings: Record<string, unknown>, preset?: Record<string, unknown> | null): string[] {
  const result = compileSubmission({ type: "blender_render", settings }, preset);
  return result.ok ? ["accepted"] : (result.error.errors ?? []).map((error) => error.field);
}

/**
 * The values that Python's json.loads reads, by the rules that Python and JavaScript share for such
 * a literal.
 */
function valuesIn(script: string): BlenderOverrides {
  const literal = /^wanted = json\.loads\((".*")\)$/m.exec(script)?.[1] ?? "null";
  return JSON.parse(JSON.parse(literal) as string) as BlenderOverrides;
}

const none: BlenderOverrides = {
  scene: null,
  camera: null,
  engine: null,
  samples: null,
  resolution_percentage: null,
  denoise: null,
  allow_missing_files: false,
  allow_missing: [],
  frames: [[1, 1]],
  scripts: false,
  below_zero: false,
};

describe("the command", () => {
  it("P9: scripts of the file are off unless the task asks for them, and the agent is told", () => {
    expect(argsOf(BASE)).toContain("--disable-autoexec");
    expect(argsOf(BASE)).not.toContain("--enable-autoexec");
    expect(argsOf({ ...BASE, autoexec: true })).toContain("--enable-autoexec");
    const { settings, description } = compiled({ ...BASE, autoexec: true });
    expect(description.needsAutoexec).toBe(true);
    expect(planFor("blender_render", "plain", settings, [1], "linux").autoexec).toBe(true);
  });

  it("says strict only to agents that know it: others would refuse the plan", () => {
    const planOf = (strict: Record<string, unknown>) => {
      const { settings } = compiled({ ...BASE, ...strict });
      return planFor("blender_render", "plain", settings, [1], "linux");
    };
    expect(planOf({ strict: true }).strict).toBe(true);
    expect(planOf({ strict: false })).not.toHaveProperty("strict");
    expect(needsOf(compiled({ ...BASE, strict: true }), []).agent).toBe("0.2.0");
    expect(needsOf(compiled(BASE), [])).not.toHaveProperty("agent");
  });

  it("loads the file, prepares the scene, then renders: in this order", () => {
    const args = argsOf({ ...BASE, scene: "Night", format: "jpg" }, [3, 5, 7, 8]);
    const order = [
      { in: "shot.blend" },
      "--python-expr",
      "--scene",
      "--render-output",
      "--render-format",
      "--render-frame",
    ];
    const places = order.map((wanted) => args.findIndex((arg) => JSON.stringify(arg) === JSON.stringify(wanted)));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(args.slice(-6)).toEqual(["--render-format", "JPEG", "--use-extension", "1", "--render-frame", "3,5,7..8"]);
    expect(args[args.indexOf("--render-output") + 1]).toEqual({ out: "frame_####" });
  });

  it("P11: names the files that Blender writes", () => {
    const names = (format: string) =>
      planFor(
        "blender_render",
        "plain",
        compiled({ ...BASE, format, frames: "-7-10000" }).settings,
        [-7, 1, 10_000],
        "linux",
      ).outputs.map((output) => output.name);
    expect(names("PNG")).toEqual(["frame_-0007.png", "frame_0001.png", "frame_10000.png"]);
    expect(names("JPEG")).toEqual(["frame_-0007.jpg", "frame_0001.jpg", "frame_10000.jpg"]);
    expect(names("EXR")).toEqual(["frame_-0007.exr", "frame_0001.exr", "frame_10000.exr"]);
  });

  it("writes frames below 0 as Blender numbers them, from a scene that ends at 0", () => {
    expect(frameArgument([-5, -4, -3, -1, 0, 1, 7])).toBe("-6..-4,-2,0..1,7");
    expect(valuesIn(argsOf({ ...BASE, frames: "-2-2" }, [-2, 0])[6] as string).below_zero).toBe(true);
    expect(valuesIn(argsOf({ ...BASE, frames: "-2-2" }, [0, 1])[6] as string).below_zero).toBe(false);
  });

  it("takes a path on the workers, also one for each system", () => {
    for (const file of ["/farm/a.blend", "C:\\farm\\a.blend", "C:/farm/a.blend", "\\\\host\\share\\a.blend"]) {
      expect(argsOf({ file, frames: "1" })).toContain(file);
    }
    const file = { linux: "/l.blend", windows: "W:\\w.blend" };
    expect(argsOf({ file, frames: "1" }, [1], "windows")).toContain("W:\\w.blend");
    expect(argsOf({ file, frames: "1" }, [1], "darwin")).toContain("/l.blend");
  });
});

describe("the script", () => {
  const anyText = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .array(
        fc.constantFrom('"', "'", "\\", "\n", "\r", "\u2028", '")', "${", "`", "{}", "\\u0022", "😀", "\ud800", "#"),
        { maxLength: 12 },
      )
      .map((a) => a.join("")),
  );

  it("P9: no text can leave its string literal", () => {
    const empty = blenderScript(none).split("\n");
    fc.assert(
      fc.property(anyText, anyText, (camera, scene) => {
        const script = blenderScript({ ...none, camera, scene });
        const lines = script.split("\n");
        // The same lines of code, except the one literal, which is printable ASCII without an
        // unescaped quote.
        expect(lines.length).toBe(empty.length);
        expect(
          lines.filter((line, i) => line !== empty[i]).every((line) => line.startsWith("wanted = json.loads(")),
        ).toBe(true);
        expect(lines[1]).toMatch(/^wanted = json\.loads\("(?:[ !#-[\]-~]|\\["\\])*"\)$/);
        expect(valuesIn(script)).toMatchObject({ camera, scene });
      }),
      { numRuns: 1_000 },
    );
    expect(pythonValue({ a: "é\u007f😀" })).toBe('json.loads("{\\"a\\":\\"\\\\u00e9\\\\u007f\\\\ud83d\\\\ude00\\"}")');
  });

  it("leaves half of the 32,767 characters that Windows takes for a command, and is the same on every call", () => {
    const script = blenderScript(none);
    expect(script.length).toBeLessThan(20_000);
    expect(blenderScript(none)).toBe(script);
    expect(script).toMatch(/^[\n -~]*$/);
  });

  it("reads a task of an earlier release, whose settings have no patterns", () => {
    const { allow_missing: _, ...stored } = compiled(BASE).settings;
    const { args } = planFor("blender_render", "blender_render", stored, [1], "linux").command;
    expect(valuesIn(args[6] as string)).toEqual(none);
  });

  it("gets every override as the settings have it", () => {
    const settings = {
      engine: "CYCLES",
      samples: 64,
      resolution_percentage: 50,
      camera: "Cam.001",
      denoise: false,
      scene: "S",
    };
    const script = argsOf({ ...BASE, ...settings, allow_missing_files: true })[6] as string;
    expect(valuesIn(script)).toEqual({ ...none, ...settings, allow_missing_files: true });
    const patterns = { allow_missing: ["tex/*.png", "Wood?"] };
    const range = argsOf({ ...BASE, ...patterns }, [1, 3, 4, 5, 9])[6] as string;
    expect(valuesIn(range)).toMatchObject({
      ...patterns,
      frames: [
        [1, 1],
        [3, 5],
        [9, 9],
      ],
    });
    expect(valuesIn(argsOf(BASE)[6] as string)).toEqual(none);
  });
});

describe("settings", () => {
  it("of 2015 are accepted under their old names", () => {
    const old = compiled(
      {
        filepath: "/a.blend",
        frame_start: 1,
        frame_end: 5,
        format: "EXR",
        command_name: "blender",
        output_path_linux: "/x",
        render_settings: "",
      },
      undefined,
      "blender_simple_render",
    );
    expect(old).toMatchObject({ type: "blender_render", parser: "blender_render" });
    expect(old.settings).toEqual(compiled({ file: "/a.blend", frames: "1-5", format: "OPEN_EXR" }).settings);
    const paths = { file_path_linux: "/a.blend", file_path_win: "C:\\a.blend", file_path_osx: "", frames: "1" };
    expect(compiled(paths, undefined, "simple_blender_render").settings.file).toEqual({
      linux: "/a.blend",
      windows: "C:\\a.blend",
    });
    expect(errorsOf({ ...BASE, filepath: "/b.blend" })).toEqual(["settings.filepath"]);
  });

  it.each([
    [{ file: undefined }, "settings.file"],
    [{ file: "other.blend" }, "settings.file"],
    [{ file: "../shot.blend" }, "settings.file"],
    [{ file: "" }, "settings.file"],
    [{ file: {} }, "settings.file"],
    [{ file: { linux: "a.blend" } }, "settings.file.linux"],
    [{ assets: [asset("shot.blend"), asset("SHOT.blend")] }, "settings.assets.1.path"],
    [{ frames: "1048575" }, "settings.frames"],
    [{ frames: "-1048575" }, "settings.frames"],
    [{ format: "TIFF" }, "settings.format"],
    [{ format: "toString" }, "settings.format"],
    [{ engine: "LUXCORE" }, "settings.engine"],
    [{ resolution_percentage: 0 }, "settings.resolution_percentage"],
    [{ resolution_percentage: 1001 }, "settings.resolution_percentage"],
    [{ samples: 1.5 }, "settings.samples"],
    [{ samples: 1e6 + 1 }, "settings.samples"],
    [{ engine: "BLENDER_WORKBENCH", samples: 4 }, "settings.samples"],
    [{ engine: "BLENDER_EEVEE", denoise: true }, "settings.denoise"],
    [{ camera: "" }, "settings.camera"],
    [{ camera: "a\nb" }, "settings.camera"],
    [{ camera: "\ud800" }, "settings.camera"],
    [{ scene: "a\0b" }, "settings.scene"],
    [{ autoexec: "yes" }, "settings.autoexec"],
    [{ render_preset: "../x" }, "settings.render_preset"],
    [{ allow_missing: "*" }, "settings.allow_missing"],
    [{ allow_missing: [""] }, "settings.allow_missing.0"],
    [{ allow_missing: ["a", "b\n"] }, "settings.allow_missing.1"],
    [{ allow_missing: Array.from({ length: 21 }, () => "a") }, "settings.allow_missing"],
    [{ sampels: 4 }, "settings.sampels"],
  ])("P10: %j is refused at %s", (change, field) => {
    expect(errorsOf({ ...BASE, ...change })).toEqual([field]);
  });
});

describe("render presets", () => {
  it("are found by their name, old or new, with or without the prefix", () => {
    const nameOf = (settings: Record<string, unknown>, type = "blender_render") => {
      const resolved = resolveSubmission({ type, settings });
      return resolved.ok ? resolved.value.presetName : resolved.error;
    };
    expect(nameOf({ render_preset: "final" })).toBe("render.final");
    expect(nameOf({ render_preset: "render.final" })).toBe("render.final");
    expect(nameOf({ render_settings: "final" }, "simple_blender_render")).toBe("render.final");
    for (const none of [{}, { render_settings: "" }, { render_preset: "../x" }, { render_preset: 3 }])
      expect(nameOf(none)).toBeNull();
    expect(nameOf({ render_preset: "final" }, "exec")).toBeNull();
  });

  it("are overridden by the given settings", () => {
    const settings = { ...BASE, render_preset: "final", samples: 8 };
    const { settings: merged } = compiled(settings, { samples: 512, engine: "CYCLES", format: "OPEN_EXR" });
    expect(merged).toMatchObject({ samples: 8, engine: "CYCLES", format: "OPEN_EXR", render_preset: "final" });
    expect(compiled(BASE, { samples: 512 }).settings).not.toHaveProperty("samples");
  });

  it("that do not exist, or conflict with the settings, are refused", () => {
    expect(errorsOf({ ...BASE, render_preset: "final" })).toEqual(["settings.render_preset"]);
    expect(errorsOf({ ...BASE, render_preset: "final" }, null)).toEqual(["settings.render_preset"]);
    expect(errorsOf({ ...BASE, render_preset: "final", samples: 3 }, { engine: "BLENDER_WORKBENCH" })).toEqual([
      "settings.samples",
    ]);
  });

  it("are checked before they are stored: they may say how a picture is made, never what may run", () => {
    expect(checkPreset({ engine: "CYCLES", samples: 64, format: "exr" })).toEqual({
      ok: true,
      value: { engine: "CYCLES", samples: 64, format: "OPEN_EXR" },
    });
    for (const bad of [{ autoexec: true }, { file: "/x" }, { frames: "1" }, { samples: 0 }]) {
      expect(checkPreset(bad)).toMatchObject({
        ok: false,
        error: { errors: [{ field: `value.${Object.keys(bad)[0]}` }] },
      });
    }
    expect(checkPreset("final")).toMatchObject({ ok: false, error: { errors: [{ field: "value" }] } });
  });
});
