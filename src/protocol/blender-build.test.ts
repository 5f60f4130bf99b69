import { describe, expect, test } from "vitest";
import {
  archiveEnding,
  buildPlatformIn,
  fetchesIn,
  fetchingText,
  isFetching,
  readArchiveName,
} from "./blender-build.ts";
import { canDo, mustFetch, type Needs, type Offer } from "./needs.ts";

describe("names of official archives", () => {
  test.each([
    ["blender-4.5.3-linux-x64.tar.xz", "4.5.3", "linux-x64"],
    ["blender-4.5.3-macos-arm64.dmg", "4.5.3", "darwin-arm64"],
    ["blender-3.6.23-macos-x64.dmg", "3.6.23", "darwin-x64"],
    ["blender-5.0.0-windows-x64.zip", "5.0.0", "windows-x64"],
    ["blender-5.0.0-windows-arm64.zip", "5.0.0", "windows-arm64"],
    ["Blender-4.5.3-Linux-x64.TAR.XZ", "4.5.3", "linux-x64"],
    ["blender-2.93.18-linux-x64.tar.gz", "2.93.18", "linux-x64"],
  ])("%s is %s for %s", (name, version, platform) => {
    expect(readArchiveName(name)).toEqual({ version, platform });
  });

  test("what a name does not say is left out", () => {
    expect(readArchiveName("blender-4.5.3-linux-riscv64.tar.xz")).toEqual({ version: "4.5.3" });
    for (const name of [
      "ours.tar.xz",
      "blender-4.5-linux-x64.tar.xz",
      "blender-4.5.0-beta+v45.1a2b-linux.x86_64-release.tar.xz",
      "",
    ])
      expect(readArchiveName(name)).toEqual({});
  });

  test("a platform is read in our words and in those of others", () => {
    expect(buildPlatformIn("macos-arm64")).toBe("darwin-arm64");
    expect(buildPlatformIn("linux.x86_64")).toBe("linux-x64");
    expect(buildPlatformIn("windows-x64")).toBe("windows-x64");
    for (const text of ["linux", "x64", "linux-mips", "constructor-x64", "linux-toString", ""])
      expect(buildPlatformIn(text)).toBeUndefined();
    expect(fetchesIn("linux-x64")).toBe("linux-x64");
    for (const text of [null, "", "LINUX-X64", "linux-x64, darwin-x64"]) expect(fetchesIn(text)).toBeNull();
  });

  test("the ending says how it is packed", () => {
    expect(archiveEnding("a.tar.xz")).toBe(".tar.xz");
    expect(archiveEnding("a.TGZ")).toBe(".tgz");
    for (const name of ["a.msi", "a.tar", "tar.xz.exe", ""]) expect(archiveEnding(name)).toBeUndefined();
  });
});

test("the words of a worker that fetches are known again, and those of others are not", () => {
  expect(fetchingText("4.5.3", 310_400_000, 370_000_000)).toBe("fetching Blender 4.5.3 (310 of 370 MB)");
  expect(isFetching(fetchingText("4.5.3", 0, 1))).toBe(true);
  for (const text of [null, "", "Fra:1 Mem:1M", "not fetching Blender 4.5.3"]) expect(isFetching(text)).toBe(false);
});

describe("P12: a worker that fetches", () => {
  const needs = (blender?: string): Needs => ({
    type: "blender_render",
    programs: ["blender"],
    tags: [],
    allow_exec: false,
    allow_autoexec: false,
    ...(blender !== undefined && { blender }),
  });
  const offer = (has: string | null, fetchable?: string[]): Offer => ({
    programs: has === null ? {} : { blender: has },
    ...(fetchable && { fetchable }),
    tags: [],
    allow_exec: false,
    allow_autoexec: false,
    version: "0.2.0",
  });
  test.each([
    ["4.5", null, ["4.5.3"], true, true],
    ["4.5", null, ["5.0.1"], false, false],
    ["4.5", null, undefined, false, false],
    ["4.5", "4.5.1", ["4.5.3"], true, false],
    ["4.5", "3.4.1", ["4.5.3"], true, true],
    ["4.5+", "3.4.1", ["5.0.1"], true, true],
    [undefined, null, ["5.0.1"], true, true],
    [undefined, "3.4.1", ["5.0.1"], true, false],
    [undefined, null, [], false, false],
  ])("need %s, has %s, could fetch %s: able %s, must fetch %s", (need, has, fetchable, able, fetches) => {
    expect(canDo(needs(need), offer(has, fetchable))).toBe(able);
    expect(mustFetch(needs(need), offer(has, fetchable))).toBe(fetches);
  });

  test("a build of Blender makes nobody able to do a task of another program", () => {
    const video = { ...needs(), programs: ["ffmpeg"] };
    expect(canDo(video, offer(null, ["4.5.3"]))).toBe(false);
    expect(canDo({ ...needs("4.5"), programs: ["blender", "ffmpeg"] }, offer(null, ["4.5.3"]))).toBe(false);
  });
});
