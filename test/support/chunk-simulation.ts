/**
 * Simulates a task's frames on idle workers, chunk by chunk, with the real rules of `chunking.ts`.
 * No clock: time is added up.
 */
import { chunkSize, measured, type ChunkStats } from "../../src/task/rules/chunking.ts";

export interface Simulated {
  /** Seconds from the first lease to the last frame. */
  wallS: number;
  /** Seconds that workers waited for the slowest at the end, added up. */
  idleS: number;
  /** Seconds of loading, of all leases. */
  loadS: number;
  leases: number;
}

/** `seconds`: of each frame. Every lease first loads for `loadS`. */
export function simulateChunks(
  seconds: readonly number[],
  options: { workers: number; loadS: number; chunk: number | "auto" },
): Simulated {
  const { workers, loadS, chunk } = options;
  let stats: ChunkStats = { frames: 0, frameMs: 0, loadMs: 0 };
  let next = 0;
  let leases = 0;
  /** When each worker is free, and what it has done by then. */
  const free = Array.from({ length: workers }, () => ({
    atS: 0,
    lease: null as { frames: number; workS: number } | null,
  }));
  for (;;) {
    const worker = free.reduce((first, other) => (other.atS < first.atS ? other : first));
    if (worker.lease) {
      const { frames, workS } = worker.lease;
      stats = measured(stats, { frames, framesMs: workS * 1_000, wallMs: (workS + loadS) * 1_000 });
      worker.lease = null;
    }
    if (next >= seconds.length) break;
    const size = Math.min(chunkSize(chunk, stats, seconds.length - next, workers), seconds.length - next);
    const workS = seconds.slice(next, next + size).reduce((sum, frame) => sum + frame, 0);
    next += size;
    leases++;
    worker.lease = { frames: size, workS };
    worker.atS += loadS + workS;
  }
  const wallS = Math.max(...free.map((worker) => worker.atS));
  const idleS = free.reduce((sum, worker) => sum + wallS - worker.atS, 0);
  return { wallS, idleS, loadS: leases * loadS, leases };
}
