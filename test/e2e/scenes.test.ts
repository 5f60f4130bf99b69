/**
 * The corpus of scenes, on the Blender of the PATH and on a modern one (`bpy` behind our shim): each
 * scene renders as by hand, or is refused by name, or a warning tells what is not sure.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blenderAt, pythonWithBpy, writeShim } from "../scenes/blenders.ts";
import { scenesOf, type Version } from "../scenes/corpus.ts";
import { complaintOf, outcomeText, type Outcome } from "../scenes/judge.ts";
import { runCorpus } from "../scenes/run.ts";
import { endFarm } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { hasProgram } from "../support/programs.ts";

const temporary = temporaryFolder("scenes");
afterAll(() => temporary.remove());

/** What the corpus needs and this machine does not have. */
function missing(): string[] {
  const programs = ["blender", "ffmpeg"].filter((program) => !hasProgram(program));
  return [...programs, ...(pythonWithBpy() === undefined ? ["bpy (see .ci/bpy)"] : [])];
}

const lacks = missing();
if (lacks.length > 0) {
  const sentence = `the corpus of scenes needs ${lacks.join(" and ")}`;
  if (process.env["TABLAO_TEST_ALL"] === "1") throw new Error(`TABLAO_TEST_ALL=1, but ${sentence}`);
  process.stderr.write(`skipped: ${sentence}\n`);
}

const blenders = (): ReturnType<typeof blenderAt>[] => {
  const shim = path.join(temporary.path, "shim");
  mkdirSync(shim);
  return [blenderAt("blender"), blenderAt(writeShim(shim, pythonWithBpy()!))];
};

/** A run ends long before; it has bounds of its own that name what did not happen. */
const RUN = 1_200_000;

const found = lacks.length > 0 ? [] : blenders();
const VERSIONS: readonly Version[] = lacks.length > 0 ? ["3.4", "4.5"] : found.map(({ version }) => version);

describe.skipIf(lacks.length > 0).each(VERSIONS)("P12: on Blender %s", (version) => {
  const scenes = scenesOf(version);
  let outcomes: ReadonlyMap<string, Outcome>;
  beforeAll(async () => {
    const folder = path.join(temporary.path, version);
    mkdirSync(folder);
    const blender = found.find((one) => one.version === version)!;
    outcomes = await runCorpus({ blender, other: found.find((one) => one !== blender), scenes, folder });
    await endFarm();
  }, RUN);
  afterAll(endFarm);

  test.each(scenes)("the scene $name is shown as it is, or refused, or told of", ({ name, expect: expected }) => {
    const seen = outcomes.get(name)!;
    expect(complaintOf(expected, seen), outcomeText(seen)).toBeNull();
  });
});
