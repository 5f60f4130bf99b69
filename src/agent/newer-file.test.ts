import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plainBlend } from "../../test/support/fake-blender.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { newerFileReason, versionInHeader, type FailedBlender } from "./newer-file.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder("newer");
});
afterEach(() => folder.remove());

function blend(content: Buffer): string {
  const file = join(folder.path, "shot.BLEND");
  writeFileSync(file, content);
  return file;
}

const UNREADABLE = {
  kind: "error",
  text: "Failed to read blend file 'shot.blend', not a blend file",
  fatal: true,
} as const;
const CRASH = { kind: "exit", code: null, signal: "SIGSEGV" } as const;
const EXIT_1 = { kind: "exit", code: 1, signal: null } as const;

/** What is said of a Blender 3.4.1 that failed with this file. */
async function reason(file: string, more: Partial<FailedBlender> = {}): Promise<string | null> {
  const args = ["--background", file, "--render-frame", "1"];
  return await newerFileReason({ own: "3.4.1", args, exit: CRASH, errors: [], newerFile: undefined, ...more });
}

test.each([
  ["BLENDER-v405RENDH", "4.5"],
  ["BLENDER_V279RENDH", "2.79"],
  ["BLENDER17-01v0500", "5.0"],
  ["BLENDER17-01v0512", "5.12"],
  ["(\u00B5/\u00FD compressed", undefined],
  ["version https://git", undefined],
  ["BLENDER", undefined],
  ["", undefined],
])("a file that begins with %j was saved by %s", (head, version) => {
  expect(versionInHeader(Buffer.from(head, "latin1"))).toBe(version);
});

describe("P6: a failure for the version of the file", () => {
  test("is a crash, or an error that the file cannot be read, with a file of a newer version", async () => {
    expect(await reason(blend(plainBlend("4.5")))).toBe("saved by Blender 4.5, this worker has 3.4.1");
    const unread = { exit: EXIT_1, errors: [UNREADABLE] };
    expect(await reason(blend(plainBlend("5.0")), unread)).toBe("saved by Blender 5.0, this worker has 3.4.1");
    for (const code of [11, 0xc0000005])
      expect(await reason(blend(plainBlend("4.2")), { exit: { kind: "exit", code, signal: null } })).toContain("4.2");
  });

  test("is told by Blender's own words where the file is compressed", async () => {
    const file = blend(Buffer.from("(\u00B5/\u00FD compressed", "latin1"));
    expect(await reason(file)).toBeNull();
    expect(await reason(file, { newerFile: "4.5" })).toBe("saved by Blender 4.5, this worker has 3.4.1");
    expect(await reason(file, { newerFile: null, exit: EXIT_1, errors: [UNREADABLE] })).toBe(
      "saved by a newer Blender than 3.4, which this worker has",
    );
  });

  test("also where the scene is old, and what it links was saved by a newer version", async () => {
    expect(await reason(blend(plainBlend("3.4")), { newerFile: "4.5" })).toBe(
      "saved by Blender 4.5, this worker has 3.4.1",
    );
  });

  test.each([
    ["a file of the same minor version", "3.4", {}],
    ["an older file", "2.93", { errors: [UNREADABLE], exit: EXIT_1 }],
    ["a newer file that was read, and whose render failed by itself", "4.5", { exit: EXIT_1 }],
    [
      "a newer file, and an error of the scene",
      "4.5",
      { exit: EXIT_1, errors: [{ kind: "error", text: "Cannot render, no camera", fatal: true } as const] },
    ],
    [
      "a newer file, and a machine without memory",
      "4.5",
      { exit: { kind: "exit", code: null, signal: "SIGKILL" } as const },
    ],
    ["a worker whose version is unknown", "4.5", { own: "unknown" }],
  ])("%s is none: the frame has failed", async (_, version, more) => {
    expect(await reason(blend(plainBlend(version)), more)).toBeNull();
  });

  test("a file that is not there, and a command without one, say nothing", async () => {
    expect(await reason(join(folder.path, "gone.blend"))).toBeNull();
    expect(await reason("--nothing")).toBeNull();
  });
});
