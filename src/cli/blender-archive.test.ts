import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { archiveFault, buildNameOf, urlIn } from "./blender-archive.ts";
import { findBuild } from "./commands/blender.ts";
import type { BlenderBuild } from "../protocol/blender-build.ts";

const kept = temporaryFolder("blender-archive");
afterAll(() => kept.remove());

describe("which build an archive is", () => {
  test("its official name says it, and flags go before the name", () => {
    const name = "blender-4.5.3-linux-x64.tar.xz";
    expect(buildNameOf(name, {})).toEqual({ version: "4.5.3", platform: "linux-x64", fileName: name });
    expect(buildNameOf(name, { version: "4.5.4", platform: "macos-arm64" })).toMatchObject({
      version: "4.5.4",
      platform: "darwin-arm64",
    });
    expect(buildNameOf("ours.tar.gz", { version: "4.5.3", platform: "linux-x64" })).toMatchObject({ version: "4.5.3" });
  });

  test.each([
    ["blender-4.5.3-linux-x64.msi", {}, /no archive of Blender that workers can unpack/],
    ["ours.tar.xz", {}, /does not say the version/],
    ["ours.tar.xz", { version: "4.5" }, /'4\.5' is no version with its patch/],
    ["ours.tar.xz", { version: "4.5.3" }, /does not say the platform/],
    ["blender-4.5.3-linux-x64.tar.xz", { platform: "beos" }, /'beos' is no platform/],
  ])("P10: %s with %j is refused", (name, flags, why) => {
    expect(() => buildNameOf(name, flags)).toThrow(why);
  });

  test("a URL is known by its scheme, and its name is the last part of the path", () => {
    expect(urlIn("https://download.blender.org/release/blender-4.5.3-linux-x64.tar.xz?x=1")?.fileName).toBe(
      "blender-4.5.3-linux-x64.tar.xz",
    );
    for (const text of ["blender.tar.xz", "ftp://host/b.tar.xz", "http://", "C:\\blender.zip"])
      expect(urlIn(text)).toBeUndefined();
  });
});

test("P10: an error page under the name of an archive is found by its first bytes", async () => {
  const file = (name: string, content: string | Uint8Array): string => {
    const full = path.join(kept.path, name);
    writeFileSync(full, content);
    return full;
  };
  const page = file("page.html", "<!DOCTYPE html><title>404</title>");
  for (const ending of [".tar.xz", ".tar.gz", ".tgz", ".tar.zst", ".zip", ".dmg"] as const)
    expect(await archiveFault(page, ending)).toContain(`not those of a ${ending} file`);
  expect(await archiveFault(file("empty", ""), ".tar.xz")).not.toBeNull();
  expect(await archiveFault(file("a.xz", Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1)), ".tar.xz")).toBeNull();
  expect(await archiveFault(file("a.zip", Uint8Array.of(0x50, 0x4b, 3, 4, 9)), ".zip")).toBeNull();
  const image = Buffer.alloc(2_000);
  image.write("koly", 2_000 - 512);
  expect(await archiveFault(file("a.dmg", image), ".dmg")).toBeNull();
});

test("P10: a build to remove is found by version and platform, and never guessed", () => {
  const build = (version: string, platform: BlenderBuild["platform"]): BlenderBuild => ({
    version,
    platform,
    sha256: "a".repeat(64),
    bytes: 1,
    file_name: "b.tar.xz",
    added_by: "admin",
    added_ms: 1,
  });
  const builds = [build("4.5.3", "linux-x64"), build("4.5.3", "darwin-arm64"), build("5.0.1", "linux-x64")];
  expect(findBuild(builds, "5.0.1", undefined).platform).toBe("linux-x64");
  expect(findBuild(builds, "4.5.3", "macos-arm64").platform).toBe("darwin-arm64");
  expect(() => findBuild(builds, "4.5.3", undefined)).toThrow("for 2 platforms");
  expect(() => findBuild(builds, "5.0.1", "windows-x64")).toThrow("keeps no Blender 5.0.1 for windows-x64");
});
