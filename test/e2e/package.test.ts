/** The package that `npm pack` makes, and the image for containers: the same program in other clothes. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { validate } from "dockerfile-utils";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VERSION } from "../../src/protocol/version.ts";
import { cleanEnvironment, startChild } from "../support/child.ts";
import { CHECKOUT } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";

const folder = temporaryFolder("package");
const env = cleanEnvironment({ HOME: folder.path, npm_config_offline: "true", npm_config_update_notifier: "false" });
let packed: { filename: string; size: number; files: { path: string }[] };

beforeAll(() => {
  const args = ["pack", "--json", "--pack-destination", folder.path];
  const said = execFileSync("npm", args, { cwd: CHECKOUT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  // `prepack` says first whether it built.
  [packed] = JSON.parse(said.slice(said.indexOf("["))) as [typeof packed];
});
afterAll(() => folder.remove());

test("the package holds the program, its licences and nothing else, and needs no other package", () => {
  expect(packed.files.map((file) => file.path).toSorted()).toEqual([
    "LICENSE",
    "README.md",
    "package.json",
    "public/tablao-licenses.md",
    "public/tablao.mjs",
    "src/cli/tablao.js",
  ]);
  process.stderr.write(`the package: ${(packed.size / 1_000).toFixed(0)} kB\n`);
  const own = JSON.parse(readFileSync(path.join(CHECKOUT, "package.json"), "utf8")) as Record<string, unknown>;
  expect(own["dependencies"]).toBeUndefined();
});

test("the package runs when it is installed, and by npx, without the network", async () => {
  const tarball = path.join(folder.path, packed.filename);
  execFileSync("npm", ["install", "--no-audit", "--no-fund", tarball], { cwd: folder.path, env, stdio: "ignore" });
  const installed = startChild(path.join(folder.path, "node_modules/.bin/tablao"), ["tasks"], {
    cwd: folder.path,
    env,
  });
  expect(await installed.ended).toMatchObject({ code: 5 });
  expect(installed.stderr()).toBe(
    "tablao: no manager is known. Name one: --manager URL, TABLAO_URL, or `tablao login URL`.\n",
  );
  const npx = startChild("npx", ["--yes", `./${packed.filename}`, "--version"], { cwd: folder.path, env });
  expect(await npx.ended, npx.stderr()).toMatchObject({ code: 0 });
  expect(npx.stdout().trim()).toBe(VERSION);
  const worker = startChild("npx", ["--yes", `./${packed.filename}`, "worker", "--help"], { cwd: folder.path, env });
  expect(await worker.ended).toMatchObject({ code: 0 });
  expect(worker.stdout()).toContain("Render for the farm on this machine.");
});

test("the Dockerfile of a worker keeps the rules of its language, and names files that are there", () => {
  const file = readFileSync(path.join(CHECKOUT, "examples/docker/Dockerfile"), "utf8");
  expect(validate(file)).toEqual([]);
  const copied = [...file.matchAll(/^COPY (\S+) /gm)].map((match) => match[1]!);
  expect(copied).toEqual(["tablao.mjs"]);
  expect(file).not.toMatch(/TOKEN=[^T]|latest/);
});
