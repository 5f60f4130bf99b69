/**
 * How many frames to lease together: a fixed number, or `auto`, which aims at a target runtime.
 * Chunks grow while loading the scene takes most of the time, and shrink near the end, so that no
 * single worker holds the last frames. Pure.
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

/**
 * Longer chunks lose more work with a lost worker; shorter ones spend more of the time on loading
 * the scene.
 */
const TARGET_MS = 60_000;
/**
 * A chunk grows beyond the target until loading takes only this share of it. Lower: chunks of heavy
 * scenes become very long.
 */
const LOAD_SHARE = 0.1;
/**
 * The most frames in a chunk. It bounds what one lease call writes and what a lost worker gives
 * back.
 */
export const MAX_CHUNK = 500;
/**
 * Weight of the newest lease in the running means. Higher: one slow machine changes the chunks of
 * all others.
 */
const NEWEST = 0.3;

/** The means with one more completed lease. */
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
 * Frames for the next lease, at least 1. `pending`: frames not given out; `workers`: workers that
 * may want some. Near the end (guided self-scheduling): never more than half of an even share of
 * what is left.
 */
export function chunkSize(chunk: number | "auto", stats: ChunkStats, pending: number, workers: number): number {
  if (chunk !== "auto") return chunk;
  if (stats.frames === 0) return 1;
  const byTarget = (TARGET_MS - stats.loadMs) / Math.max(1, stats.frameMs);
  const byLoad = stats.loadMs / LOAD_SHARE / Math.max(1, stats.frameMs);
  const tail = Math.ceil(pending / (2 * Math.max(1, workers)));
  return Math.max(1, Math.min(MAX_CHUNK, tail, Math.floor(Math.max(byTarget, Math.min(byLoad, 4 * byTarget)))));
}
