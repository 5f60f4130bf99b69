import { describe, expect, it } from "vitest";
import { compileSubmission, planFor } from "./index.ts";

const asset = (path: string) => ({ path, sha256: "b".repeat(64), size: 1 });

function fieldsOf(settings: Record<string, unknown>): string[] {
  const result = compileSubmission({ type: "exec", settings: { program: "p", ...settings } });
  return result.ok ? ["accepted"] : [...new Set((result.error.errors ?? []).map((error) => error.field))];
}

function argsOf(settings: Record<string, unknown>, frames: number[]) {
  const result = compileSubmission({ type: "exec", settings: { program: "p", ...settings } });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return planFor("exec", "plain", result.value.settings, frames, "linux");
}

describe("exec", () => {
  it("replaces placeholders that are whole arguments, and passes everything else as it is", () => {
    const args = ["{frame}", "{frames}", "{in:a/b.txt}", "{in:a}", "{out:x_1.txt}", "$(id)", "{}", "a b"];
    const plan = argsOf({ args, assets: [asset("a/b.txt")], frames: "3-9", env: { MODE: "x" } }, [3, 4, 9]);
    expect(plan.command).toEqual({
      program: "p",
      args: ["3", "3-4,9", { in: "a/b.txt" }, { in: "a" }, { out: "x_1.txt" }, "$(id)", "{}", "a b"],
      env: { MODE: "x" },
    });
    expect(plan.needs_exec).toBe(true);
    expect(plan.outputs).toEqual([]);
  });

  it("P11: with outputs, every frame has a file of its number", () => {
    const plan = argsOf({ outputs: "v2_###.png", frames: "-3-4000" }, [-3, 7, 4000]);
    expect(plan.outputs).toEqual([
      { frame: -3, name: "v2_-003.png" },
      { frame: 7, name: "v2_007.png" },
      { frame: 4000, name: "v2_4000.png" },
    ]);
    const one = compileSubmission({ type: "exec", settings: { program: "p", outputs: "all.txt" } });
    expect(one).toMatchObject({
      ok: true,
      value: { description: { filesPerFrame: 1, format: "TXT", needsExec: true } },
    });
  });

  it.each([
    [{ args: ["--frame={frame}"] }, "settings.args.0"],
    [{ args: ["a", "x{out:y}"] }, "settings.args.1"],
    [{ args: ["{in:../secret}"] }, "settings.args.0"],
    [{ args: ["{out:/etc/x}"] }, "settings.args.0"],
    [{ args: ["{in:missing.txt}"] }, "settings.args.0"],
    [{ args: ["a\0"] }, "settings.args.0"],
    [{ args: [1] }, "settings.args.0"],
    [{ program: "" }, "settings.program"],
    [{ program: "a\nb" }, "settings.program"],
    [{ env: { "A=B": "x" } }, "settings.env.A=B"],
    [{ env: { TABLAO_TOKEN: "x" } }, "settings.env.TABLAO_TOKEN"],
    [{ env: { A: "x\0" } }, "settings.env.A"],
    [{ outputs: "../x_#.png" }, "settings.outputs"],
    [{ outputs: "d/x_#.png" }, "settings.outputs"],
    [{ outputs: "x.png", frames: "1-2" }, "settings.outputs"],
    [{ assets: [asset("a"), asset("a")] }, "settings.assets.1.path"],
    [{ assets: [asset("Tex/a"), asset("tex/A")] }, "settings.assets.1.path"],
    [{ assets: [asset("a/b"), asset("a")] }, "settings.assets.0.path"],
    [{ assets: [asset("../a")] }, "settings.assets.0.path"],
    [{ assets: [{ ...asset("a"), size: -1 }] }, "settings.assets.0.size"],
  ])("P10: refuses %j at %s", (settings, field) => {
    expect(fieldsOf(settings)).toEqual([field]);
  });
});
