/**
 * Cheap chaos as `npm run chaos:long` runs it, with fewer runs. The runs have processes of their
 * own, because they replace the clock.
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

/**
 * The lines of the output when all runs passed: totals as JSON, then a summary. Rejects when a run
 * failed.
 */
async function long(runs: number, seed: number, ...more: string[]): Promise<string[]> {
  const file = path.join(import.meta.dirname, "long.ts");
  const args = ["--no-warnings", file, "--runs", String(runs), "--seed", String(seed), "--parallel", "2", ...more];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 600_000 });
  return stdout.trim().split("\n");
}

test("P1–P7, P11–P14: nothing twice, nothing lost, nothing stuck, nothing in use deleted, no task of two Blenders in 300 cheap runs: resets, late, doubled and lost alarms, clock jumps, lost messages", async () => {
  const [totals, summary] = await long(300, 1);
  expect(summary).toMatch(/^300 runs, 0 failed/);
  const counts = JSON.parse(totals!) as Record<string, number>;
  const network = ["drop request", "drop reply", "double", "late", "half open"];
  for (const what of [...network, "kill manager", "abort", "clock", "lost alarms", "watchdog"])
    expect(counts[what], what).toBeGreaterThan(100);
  for (const what of [
    "deleted by a rule",
    "kept by a task",
    "retention: submit",
    "retention: refused for a deleted task",
    "tasks with inputs",
    "inputs deleted",
    "inputs: wanted while given up",
    "daily jobs failed",
    "dead Workers",
    "Blender: exact",
    "Blender: at least",
    "Blender: any, several used",
    "Blender: refused at the claim",
    "Blender: nobody had it",
  ])
    expect(counts[what], what).toBeGreaterThan(30);
});

test("a seed replays: the same runs, to the last message", async () => {
  const [first, again] = [await long(12, 7_000), await long(12, 7_000)];
  expect(again[0]).toBe(first[0]);
});

test("P4: in 150 runs, objects with resets between calls and refused writes answer, store and report what undisturbed ones do", async () => {
  const [totals, summary] = await long(150, 1, "--differential");
  expect(summary).toMatch(/^150 runs, 0 failed/);
  const counts = JSON.parse(totals!) as Record<string, number>;
  expect(counts["resets"]).toBeGreaterThan(5_000);
  expect(counts["refused writes"]).toBeGreaterThan(200);
});

test("P4: a write refused in the middle of a restore leaves no task that is in memory only (seed 973)", async () => {
  expect((await long(1, 973, "--differential"))[1]).toMatch(/^1 runs, 0 failed/);
});
