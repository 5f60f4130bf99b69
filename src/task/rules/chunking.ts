/**
 * How many frames to lease together. A fixed size, or `auto`: aim at a target runtime. While loading the scene dominates,
 * chunks grow; near the end they shrink, so that no one worker holds the tail.
 */

/** Running means over completed leases. */
export interface ChunkStats {
  /** Frames measured. */
  frames: number;
  /** Mean wall time of a frame. */
  frameMs: number;
  /** Mean time of a lease beyond its frames: start of the program, loading, the last upload. */
  loadMs: number;
}

/** A chunk this long keeps load time small for light frames, and a lost worker's cost small for heavy ones. */
export const TARGET_MS = 60_000;
/** Load time may take up to this share of a chunk before the chunk grows beyond the target. */
export const LOAD_SHARE = 0.1;
/** No chunk is larger: it bounds a lease's cost and what a lost worker gives back. */
export const MAX_CHUNK = 500;
/** Weight of the newest lease in the running means. */
const NEWEST = 0.3;

/** Fold one completed lease into the means. */
export function measured(stats: ChunkStats, lease: { frames: number; framesMs: number; wallMs: number }): ChunkStats {
  if (lease.frames === 0) return stats;
  const frameMs = lease.framesMs / lease.frames;
  const loadMs = Math.max(0, lease.wallMs - lease.framesMs);
  if (stats.frames === 0) return { frames: lease.frames, frameMs, loadMs };
  return {
    frames: stats.frames + lease.frames,
    frameMs: stats.frameMs + NEWEST * (frameMs - stats.frameMs),
    loadMs: stats.loadMs + NEWEST * (loadMs - stats.loadMs),
  };
}

/**
 * Frames for the next lease, at least 1. `pending`: frames not given out; `workers`: those that may want some.
 * Tail rule (guided self-scheduling): never more than an even share of what is left, halved.
 */
export function chunkSize(chunk: number | "auto", stats: ChunkStats, pending: number, workers: number): number {
  if (chunk !== "auto") return chunk;
  if (stats.frames === 0) return 1;
  const byTarget = (TARGET_MS - stats.loadMs) / Math.max(1, stats.frameMs);
  const byLoad = stats.loadMs / LOAD_SHARE / Math.max(1, stats.frameMs);
  const tail = Math.ceil(pending / (2 * Math.max(1, workers)));
  return Math.max(1, Math.min(MAX_CHUNK, tail, Math.floor(Math.max(byTarget, Math.min(byLoad, 4 * byTarget)))));
}
