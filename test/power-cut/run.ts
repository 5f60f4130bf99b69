/**
 * Power cuts of `npm start`: a farm is recorded (`recording.ts`), and at chosen places of the record a
 * manager is started on the disk as a cut there may leave it (`disk.ts`, `cut.ts`).
 */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { Rng } from "../chaos/rng.ts";
import { advance, leaveDisk, lookAfterCut } from "./cut.ts";
import { Disk, endsOf, type Luck } from "./disk.ts";
import { recordFarm } from "./recording.ts";

export interface Cut {
  name: string;
  problems: string[];
}

/** Managers that run at the same time. */
const AT_ONCE = 3;
/** Of so many cuts one waits until the history has reached D1. */
const HISTORY_EVERY = 5;
const LUCK: readonly Luck[] = ["some", "some", "none", "all"];

/** Record one farm and cut its power at `cuts` places. The same seed cuts at places chosen alike. */
export async function cutPower(seed: string, cuts: number, folder: string, library: string): Promise<Cut[]> {
  const rng = new Rng(`power/${seed}`);
  const base = path.join(folder, `farm-${seed}`);
  mkdirSync(base, { recursive: true });
  const recording = await recordFarm(rng.fork("farm"), base, library);
  const { record, root } = recording;
  // The first answers are those of the join and of the first tasks: before them there is little to lose.
  const from = Math.min(...[...recording.tasks, ...recording.assets].map(({ at }) => at));
  const ends = endsOf(record).filter((end) => end >= from);
  const places = Array.from({ length: cuts }, () => rng.pick(ends)).toSorted((a, b) => a - b);
  const disk = new Disk();
  let reached = 0;
  const results: Cut[] = [];
  const running = new Set<Promise<void>>();
  for (const [i, at] of places.entries()) {
    const luck = LUCK[i % LUCK.length]!;
    const name = `seed ${seed}, cut ${i} at byte ${at} of ${record.length}, unsynced: ${luck}`;
    advance(disk, record, reached, at);
    reached = at;
    const state = path.join(base, `cut-${i}`);
    leaveDisk(disk, root, state, rng.fork(`cut/${i}`), luck);
    const looking = lookAfterCut(recording, at, state, rng.fork(`after/${i}`), i % HISTORY_EVERY === 0)
      .catch((error: unknown) => [`it broke off: ${error instanceof Error ? error.stack : String(error)}`])
      .then((problems) => {
        results.push({ name, problems });
        if (problems.length === 0) rmSync(state, { recursive: true, force: true, maxRetries: 5 });
        running.delete(looking);
      });
    running.add(looking);
    if (running.size >= AT_ONCE) await Promise.race(running);
  }
  await Promise.all(running);
  return results;
}
