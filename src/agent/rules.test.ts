import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join, sep } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { testFolder } from "../../test/support/folders.ts";
import { isInside } from "../client/paths.ts";
import { WorkNotifier } from "./work-notifier.ts";
import { framesToFail, failureText } from "./failure-report.ts";
import { checkOutput, makeLeaseFolder, removeLeaseFolder, resolveArguments } from "./lease-folder.ts";
import { macAsInteger } from "./machine.ts";
import { whyUnsafePath } from "../protocol/path-rules.ts";
import { checkWorkerOptions, foldersOf } from "./options.ts";
import { checkPlan } from "./plan-check.ts";
import { PROGRAMS } from "../protocol/programs.ts";
import { parseVersion } from "./programs.ts";
import { suspendedMs } from "./suspension.ts";

const [BLENDER, FFMPEG] = PROGRAMS;

describe("frames to fail, and why (P6)", () => {
  test.each([
    ["loading failed: every unfinished frame", { unfinished: [2, 3], current: undefined, saidDone: false }, [2, 3]],
    ["the frame in progress", { unfinished: [2, 3, 4], current: 3, saidDone: false }, [3]],
    ["it ended between two: the next one", { unfinished: [3, 4], current: 2, saidDone: false }, [3]],
    [
      "it ended after the last one in order: the first that is left",
      { unfinished: [1], current: 4, saidDone: false },
      [1],
    ],
    ["exit 0 without files: those that are missing", { unfinished: [2, 4], current: 4, saidDone: true }, [2, 4]],
  ])("%s", (_, failure, frames) => {
    expect(framesToFail(failure)).toEqual(frames);
  });

  const exit = (code: number | null, signal: NodeJS.Signals | null = null) => ({ kind: "exit" as const, code, signal });
  const evidence = { program: "blender", exit: exit(1), killed: undefined, errors: [], missing: [], lastLines: [] };
  const said = (text: string, fatal: boolean) => ({ kind: "error" as const, text, fatal });

  test.each([
    [
      "a fatal error in the program's own words",
      { errors: [said("a", false), said("No camera", true), said("b", false)] },
      "No camera",
    ],
    ["else its last error", { errors: [said("a", false), said("b", false)] }, "b"],
    ["else how it ended, and its last lines", { lastLines: ["x", " ", "y"] }, "blender exited with code 1\nx\ny"],
    [
      "an end by Windows",
      { exit: exit(0xc000012d) },
      "blender exited with code 0xC000012D (no memory left: the page file is too small)",
    ],
    ["an end by Windows that we do not know", { exit: exit(0xc0000999) }, "blender exited with code 0xC0000999"],
    [
      "a kill from outside",
      { exit: exit(null, "SIGKILL") },
      "blender was killed from outside (SIGKILL); the machine may have run out of memory",
    ],
    [
      "our own kill, after its errors",
      { killed: "frame 3 took longer than 5 s", errors: [said("slow", false)] },
      "slow\nframe 3 took longer than 5 s",
    ],
    [
      "P11: files that are not there",
      { exit: exit(0), missing: ["f_1.png was not written"] },
      "blender exited 0, but f_1.png was not written",
    ],
  ])("tells %s", (_, part, text) => {
    expect(failureText({ ...evidence, ...part })).toBe(text);
  });
});

describe("the lease's folder", () => {
  test("P11: is empty, also where an agent that crashed has left one of the same attempt", async () => {
    const work = testFolder("work");
    const first = await makeLeaseFolder(work, 7, 3);
    await writeFile(join(first.out, "frame_0001.png"), "of another life");
    const again = await makeLeaseFolder(work, 7, 3);
    expect(again).toEqual(first);
    expect(await readdir(again.out)).toEqual([]);
    await removeLeaseFolder(again);
    expect(await readdir(work)).toEqual([]);
  });

  const folder = { in: `${sep}w${sep}1-1${sep}in`, out: `${sep}w${sep}1-1${sep}out` };

  test("arguments become paths inside it, and text stays text", () => {
    expect(resolveArguments(["-o", { out: "f_####" }, { in: "a/b.blend" }, { out: "" }, "../x"], folder)).toEqual({
      ok: true,
      value: ["-o", join(folder.out, "f_####"), join(folder.in, "a", "b.blend"), folder.out, "../x"],
    });
  });

  test.each(["../x", "a/../../x", "/etc/passwd", "C:\\x", "..", "a\\..\\..\\x", "a\0b"])(
    "P9: %j does not leave it",
    (path) => {
      expect(resolveArguments([{ out: path }], folder).ok).toBe(false);
      expect(resolveArguments([{ in: path }], folder).ok).toBe(false);
    },
  );

  test("P9: no relative path resolves to a place outside", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("..", ".", "a", "", "b c", "…"), { maxLength: 8 }), (parts) => {
        const resolved = resolveArguments([{ out: parts.join("/") }], folder);
        if (resolved.ok) expect(isInside(folder.out, join(resolved.value[0]!))).toBe(true);
      }),
    );
  });

  test("P11: an output is a file with content, and no link to another place", async () => {
    const root = testFolder("outputs");
    const out = join(root, "out");
    await mkdir(join(out, "dir"), { recursive: true });
    await writeFile(join(root, "secret"), "s");
    await writeFile(join(out, "good"), "x");
    await writeFile(join(out, "empty"), "");
    await symlink(join(root, "secret"), join(out, "link"));
    await symlink(root, join(out, "up"));
    expect((await checkOutput(out, "good")).ok).toBe(true);
    const why = async (name: string) => Object(await checkOutput(out, name)).error as string;
    expect(await why("none")).toBe("was not written");
    expect(await why("empty")).toBe("is empty");
    expect(await why("dir")).toBe("is not a regular file");
    expect(await why("link")).toBe("is not a regular file");
    expect(await why("up/secret")).toBe("lies outside the output folder");
  });
});

describe("what this agent may run", () => {
  const plan = {
    command: { program: "blender", args: ["-b"], env: {} },
    parser: "plain",
    inputs: [],
    input_task: null,
    outputs: [],
    autoexec: false,
    needs_exec: false,
    frame_timeout_s: null,
  };
  const programs = { blender: { command: ["/b/blender"] as [string], version: "4" } };
  const check = (value: object, allowed = { exec: false, autoexec: false }) =>
    checkPlan({ ...plan, ...value }, "1-3", { ...allowed, programs });
  const command = (value: object) => ({ command: { ...plan.command, ...value } });

  test("of several Blenders, the one of the minor version that the plan names; without a version the default", () => {
    const others = [{ command: ["/b/4.5/blender"] as [string], version: "4.5.15" }];
    const several = { blender: { command: ["/b/5.0/blender"] as [string], version: "5.0.1", others } };
    const checked = (version?: string) =>
      checkPlan({ ...plan, ...command({ version }) }, "1", { exec: false, autoexec: false, programs: several });
    expect(checked()).toMatchObject({ ok: true, value: { program: ["/b/5.0/blender"] } });
    expect(checked("4.5")).toMatchObject({ ok: true, value: { program: ["/b/4.5/blender"] } });
    expect(checked("4.2")).toEqual({
      ok: false,
      error: "this worker has no blender 4.2: it has 5.0.1 and 4.5.15",
    });
    expect(check(command({ program: "ffmpeg", version: "7.0" }))).toEqual({
      ok: false,
      error: "this worker has no ffmpeg 7.0",
    });
    expect(checked("4.5.15")).toMatchObject({ ok: false, error: expect.stringContaining("command.version") as string });
  });

  test("a known program, by its path on this machine", () => {
    expect(check({})).toMatchObject({ ok: true, value: { frames: [1, 2, 3], program: ["/b/blender"] } });
  });

  test.each([
    ["any program", { ...command({ program: "sh" }), needs_exec: true }, "without --allow-exec"],
    ["a program of another name that hides its need", command({ program: "sh" }), "no program that this agent runs"],
    ["environment variables for a known program", command({ env: { LD_PRELOAD: "x" } }), "environment variables"],
    ["scripts in the file", { autoexec: true }, "without --allow-autoexec"],
    ["scripts by the back door", command({ args: ["-b", "--enable-autoexec"] }), "switches scripts on"],
    ["a program that is not here", command({ program: "ffmpeg" }), "no ffmpeg"],
    ["a parser of the future", { parser: "houdini" }, "older than the manager"],
    [
      // As an agent of 0.1 finds `pieces` in an input: it never renders without the file.
      "an input of a form that it does not know",
      { inputs: [{ path: "x", sha256: "0".repeat(64), size: 1, cut_by_content: true }] },
      "breaks a rule: inputs.0 Unrecognized key",
    ],
    [
      "an input outside the folder",
      { inputs: [{ path: "../x", sha256: "0".repeat(64), size: 1 }] },
      "breaks a rule: inputs.0.path",
    ],
    ["an output outside the folder", { outputs: [{ frame: 1, name: "../x" }] }, "breaks a rule: outputs.0.name"],
    ["an output that is a path on Windows", { outputs: [{ frame: 1, name: "a\\b" }] }, "breaks a rule: outputs.0.name"],
    ["a program by its path", command({ program: "/b/blender" }), "no program that this agent runs"],
    ["a program by a name of every object", command({ program: "constructor" }), "no program that this agent runs"],
    ["a time limit that is none", { frame_timeout_s: -1 }, "breaks a rule: frame_timeout_s"],
    ["fields it does not know", { shell: true }, "breaks a rule"],
  ])("P9: not %s", (_, value, why) => {
    const checked = check(value);
    expect(checked.ok ? "" : checked.error).toContain(why);
  });

  test("with the owner's permission: any program by its name, known ones by their paths, scripts", () => {
    const allowed = { exec: true, autoexec: true };
    expect(check({ ...command({ program: "my-tool", env: { A: "1" } }), needs_exec: true }, allowed)).toMatchObject({
      ok: true,
      value: { program: ["my-tool"] },
    });
    expect(check({ needs_exec: true }, allowed)).toMatchObject({ ok: true, value: { program: ["/b/blender"] } });
    expect(check({ autoexec: true, ...command({ args: ["-y"] }) }, allowed).ok).toBe(true);
  });
});

describe("small parsers", () => {
  test("MAC addresses as integers", () => {
    expect(macAsInteger("02:42:ac:11:00:02")).toBe(2_485_377_892_354);
    expect(macAsInteger("FF-FF-FF-FF-FF-FF")).toBe(2 ** 48 - 1);
    expect(macAsInteger("00:00:00:00:00:00")).toBeUndefined();
    expect(macAsInteger("nonsense")).toBeUndefined();
  });

  test("versions", () => {
    expect(parseVersion(BLENDER, "Blender 3.4.1\n\tbuild date: x")).toBe("3.4.1");
    expect(parseVersion(FFMPEG, "ffmpeg version 5.1.6-0+deb12u1 Copyright (c)")).toBe("5.1.6-0+deb12u1");
    expect(parseVersion(BLENDER, "usage: x")).toBeUndefined();
  });

  test("a sleep of the machine shows on either clock; a busy second and a clock set back do not count as one", () => {
    const at = (monoMs: number, wallMs: number) => suspendedMs({ monoMs: 0, wallMs: 0 }, { monoMs, wallMs });
    expect(at(1_000, 601_000)).toBe(600_000);
    expect(at(20_000, 20_000)).toBe(19_000);
    expect(at(4_000, 4_000)).toBe(0);
    expect(at(1_000, -3_600_000)).toBe(0);
  });

  test("options: errors name the option; different names have different folders", () => {
    expect(checkWorkerOptions({ slots: 0, manager: "farm", tags: ["Bad Tag"] })).toMatchObject({
      ok: false,
      error: expect.stringMatching(/manager: .*slots: .*tags\.0: /s) as string,
    });
    const of = (name: string) => foldersOf({ name, stateDir: "/s", workDir: undefined });
    expect(of("anna").identity).toBe(join("/s", "anna.json"));
    expect(new Set(["a/b", "a_b", "a b", "../a", "..", "a"].map((name) => of(name).work)).size).toBe(6);
    // Windows takes some names for devices, and others for each other.
    const onWindows = (name: string) => foldersOf({ name, stateDir: "/s", workDir: undefined }, "win32");
    for (const name of ["con", "AUX", "nul.7", "farm."]) {
      const file = onWindows(name).identity.slice("/s/".length);
      expect(whyUnsafePath(file), name).toBeUndefined();
      expect(file).toMatch(/^_.*-[0-9a-f]{8}\.json$/);
      expect(of(name).identity).toBe(join("/s", `${name}.json`));
    }
    expect(onWindows("anna")).toEqual(of("anna"));
    for (const name of ["../x", "..", "a/b", "."])
      expect(isInside("/s", of(name).identity) && !of(name).identity.includes("..")).toBe(true);
  });
});

describe("the work notifier", () => {
  const forever = new AbortController().signal;
  const state = async (promise: Promise<unknown>) =>
    await Promise.race([promise.then(() => "woken"), new Promise((resolve) => setTimeout(resolve, 10, "waits"))]);

  test("wakes one idle slot; work wakes the next", async () => {
    const notifier = new WorkNotifier();
    const [first, second] = [notifier.wait(1e9, forever), notifier.wait(1e9, forever)];
    notifier.notify();
    expect([await state(first), await state(second)]).toEqual(["woken", "waits"]);
    notifier.wakeNext();
    expect(await state(second)).toBe("woken");
  });

  test("a notification while no slot waits is not lost; waking the next slot is not a notification", async () => {
    const notifier = new WorkNotifier();
    notifier.wakeNext();
    expect(await state(notifier.wait(1e9, forever))).toBe("waits");
    notifier.notify();
    const other = new WorkNotifier();
    other.notify();
    expect([await state(other.wait(1e9, forever)), await state(other.wait(1e9, forever))]).toEqual(["woken", "waits"]);
  });

  test("time and stopping end the wait, and such a slot is not woken any more", async () => {
    const notifier = new WorkNotifier();
    await notifier.wait(5, forever);
    const stop = new AbortController();
    const stopped = notifier.wait(1e9, stop.signal);
    stop.abort();
    expect(await state(stopped)).toBe("woken");
    notifier.notify();
    expect(await state(notifier.wait(1e9, forever))).toBe("woken");
  });
});
