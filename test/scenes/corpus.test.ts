/** The list of scenes and its table, without any Blender. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { tableIn } from "../support/doc-block.ts";
import { onVersion, scenesOf, SUBJECTS, VERSIONS, versionOf } from "./corpus.ts";
import { complaintOf, type Outcome } from "./judge.ts";
import { blenderTable, TABLE_FILE, TABLE_NAME } from "./table.ts";

const SCENES = SUBJECTS.flatMap(({ scenes }) => scenes);

test("docs/blender.md has the scenes and verdicts of the tests; else: npm run scenes -- --table", () => {
  expect(tableIn(TABLE_FILE, TABLE_NAME)).toEqual(blenderTable().filter((line) => line.startsWith("|")));
});

test("every scene has a name of its own and a maker that exists", () => {
  expect(new Set(SCENES.map(({ name }) => name)).size).toBe(SCENES.length);
  for (const { maker } of SCENES) {
    const [module, name] = maker.split(".");
    const source = readFileSync(path.join(import.meta.dirname, "makers", `${module}.py`), "utf8");
    expect(source.includes(`\ndef ${name}(root):\n`), maker).toBe(true);
  }
});

test("at least 40 scenes run on each version, and every scene runs on one", () => {
  for (const version of VERSIONS) expect(scenesOf(version).length).toBeGreaterThanOrEqual(40);
  for (const scene of SCENES) expect(VERSIONS.some((version) => onVersion(scene, version))).toBe(true);
});

test("a version that the corpus does not name counts as the one of its time", () => {
  expect(["3.4.1", "3.6.0", "4.2.23", "4.5.15", "5.0.1", "5.2.0"].map((full) => versionOf(full))).toEqual([
    "3.4",
    "3.4",
    "4.5",
    "4.5",
    "5.0",
    "5.0",
  ]);
});

const DONE: Outcome = { verdict: "completed", where: "worker", words: "", warnings: [], differences: [], leases: 1 };
const REFUSED: Outcome = { ...DONE, verdict: "refused", words: "missing file 'a.png'", differences: null };

test("a completed scene is as expected only when its pictures were compared and are the same", () => {
  expect(complaintOf({ kind: "same picture" }, DONE)).toBeNull();
  expect(complaintOf({ kind: "same picture" }, { ...DONE, differences: null })).toContain("not compared");
  expect(complaintOf({ kind: "same picture" }, { ...DONE, differences: ["frame 1 differs"] })).toContain("frame 1");
  expect(complaintOf({ kind: "same picture" }, REFUSED)).toContain("refused");
});

test("a warning that is missing, or has other words, is a complaint", () => {
  const wanted = { kind: "same picture", warns: /rig\.py/ } as const;
  expect(complaintOf(wanted, DONE)).toContain("without a warning");
  expect(complaintOf(wanted, { ...DONE, warnings: ["other.py is off"] })).toContain("without a warning");
  expect(complaintOf(wanted, { ...DONE, warnings: ["rig.py is off"] })).toBeNull();
  expect(complaintOf({ kind: "completed", warns: /rig\.py/ }, { ...DONE, differences: null })).not.toBeNull();
});

test("a warning that nothing asked for is a complaint, too", () => {
  expect(complaintOf({ kind: "same picture" }, { ...DONE, warnings: ["it may be wrong"] })).toContain(
    "it may be wrong",
  );
});

test("a refusal is as expected only with its words", () => {
  expect(complaintOf({ kind: "refused", words: /a\.png/ }, REFUSED)).toBeNull();
  expect(complaintOf({ kind: "refused", words: /b\.png/ }, REFUSED)).toContain("other words");
  expect(complaintOf({ kind: "refused", words: /a\.png/ }, DONE)).toContain("completed");
});

test("a scene that is to be refused once is not as expected when several leases were given out, or none", () => {
  const once = { kind: "refused", words: /a\.png/, once: true } as const;
  expect(complaintOf(once, REFUSED)).toBeNull();
  for (const leases of [0, 2, 3]) expect(complaintOf(once, { ...REFUSED, leases })).toContain(`by ${leases} leases`);
});
