/**
 * `npm run scenes`: the corpus on every Blender at hand, with what happened to each scene. When all is
 * as the tests say on the versions 3.4 and 4.5, it writes the table of `docs/blender.md`.
 *
 * `--blender PATH` (repeatable) names other Blenders than those at hand: programs, or Pythons that have
 * `bpy`. `--made-by PATH` names one that only makes the scenes of another version. `--only plain,zstd` runs these
 * scenes alone, and writes nothing. `--table` writes the table without a run: for when the tests were changed.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { today, writeBlock } from "../support/doc-block.ts";
import { endFarm } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { hasProgram } from "../support/programs.ts";
import { blenderAt, pythonWithBpy, writeShim, type Blender } from "./blenders.ts";
import { scenesOf, type VersionedScene } from "./corpus.ts";
import { complaintOf, outcomeText, type Outcome } from "./judge.ts";
import { runCorpus } from "./run.ts";
import { blenderTable, TABLE_FILE, TABLE_NAME } from "./table.ts";

const { values } = parseArgs({
  options: {
    blender: { type: "string", multiple: true, default: [] },
    "made-by": { type: "string", default: "" },
    only: { type: "string", default: "" },
    table: { type: "boolean", default: false },
  },
});

const temporary = temporaryFolder("corpus");

/** The Blender at this path: a program, or a Python that has `bpy`. */
function blenderOf(given: string, index: number): Blender {
  if (!path.basename(given).startsWith("python")) return blenderAt(given);
  const folder = path.join(temporary.path, `shim-${index}`);
  mkdirSync(folder);
  return blenderAt(writeShim(folder, given));
}

function atHand(): string[] {
  return [...(hasProgram("blender") ? ["blender"] : []), ...[pythonWithBpy()].flatMap((python) => python ?? [])];
}

/** Run one Blender's scenes; returns how many are not as the tests say. */
async function runOne(blender: Blender, others: readonly Blender[]): Promise<number> {
  const only = values.only === "" ? undefined : values.only.split(",");
  const other = others.find(({ version }) => version !== blender.version);
  const isRun = ({ name, madeBy }: VersionedScene): boolean =>
    (only === undefined || only.includes(name)) && (madeBy === undefined || other !== undefined);
  const scenes = scenesOf(blender.version).filter((scene) => isRun(scene));
  const folder = path.join(temporary.path, `run-${blender.full}`);
  mkdirSync(folder);
  const began = performance.now();
  let outcomes: ReadonlyMap<string, Outcome>;
  try {
    outcomes = await runCorpus({ blender, other, scenes, folder });
  } finally {
    await endFarm();
  }
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(`\nBlender ${blender.full}: ${scenes.length} scenes, ${seconds} s\n`);
  let wrong = 0;
  for (const { name, expect } of scenes) {
    const seen = outcomes.get(name)!;
    const complaint = complaintOf(expect, seen);
    if (complaint !== null) wrong++;
    const colour = complaint === null ? "green" : "RED";
    console.log(`${colour.padEnd(5)}  ${name}: ${outcomeText(seen)}${complaint ? ` [${complaint}]` : ""}`);
  }
  return wrong;
}

let wrong = 0;
if (!values.table) {
  const given = values.blender.length > 0 ? values.blender : atHand();
  const blenders = given.map((one, i) => blenderOf(one, i));
  // One after the other: they share the machine's cores.
  const makers = values["made-by"] === "" ? blenders : [blenderOf(values["made-by"], given.length)];
  for (const blender of blenders) wrong += await runOne(blender, makers);
  console.log(wrong === 0 ? "\nall as the tests say" : `\n${wrong} are not as the tests say`);
}
temporary.remove();
if (wrong > 0) process.exitCode = 1;
else if (values.table || (values.only === "" && values.blender.length === 0))
  writeBlock(TABLE_FILE, TABLE_NAME, [`Written ${today()}.`, "", ...blenderTable()]);
