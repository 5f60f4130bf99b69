/**
 * P6 as a table: what happened to frames of a lease, who is blamed, what is counted, and what is tried
 * next. Pure. The rules that act on it are in `failure.ts` and `settle.ts`.
 *
 * - A *failure* is the frame's own fault. A frame stops as `failed` after failures on `tries` different
 *   workers, or `tries` failures where there are fewer workers.
 * - A *refusal* is a machine's fault: it could not get the frame's inputs or deliver its files. A frame
 *   stops as `failed` when REFUSED_BY different workers have refused it: then it is not the machine.
 * - A worker whose machine is at fault is *held off* the task, each time for twice as long. Its next good
 *   frame ends that. A worker is held off also when no other worker is able: otherwise it would render
 *   the same frame again and again, and throw it away.
 * - A failure that is the scene's fault stops the task at once: no worker can render it, and each further
 *   try costs the load of the scene. Which refusals are the scene's is listed below.
 * - Silence counts nothing: a machine that was switched off has said nothing about the frame.
 */
import type { ReleaseCause } from "../../protocol/lease.ts";

export interface Verdict {
  /** Who is at fault. */
  blames: "nobody" | "worker" | "frame" | "scene";
  /** What is counted at the frames concerned, each for this worker. */
  counts: "nothing" | "refusal" | "failure";
  /** How long the worker is held off the task the first time, in milliseconds; 0: it is not. */
  holdMs: number;
  /** The task stops for this reason, until a person has looked. Absent: it goes on. */
  stops?: string;
  /** What is tried next; for people. */
  next: string;
}

const MINUTE_MS = 60_000;
const AT_ONCE = "any worker, at once";

/** What can happen to the open frames of a lease: it runs out, its frames fail, or it is given back. */
export type LeaseEnd = "expired" | "failed" | "scene" | ReleaseCause;

/*
 * Which refusals of a Blender scene are the scene's fault. One that is not in the first list is `failed`, because
 * another worker, or another lease, may do better.
 *
 * The scene's: they depend on the submitted files and settings alone, in any Blender.
 * - Scripts that are to run, or drivers that need Python, and scripts are off: the task decides that, not the worker.
 * - Freestyle, OSL or a custom camera that needs a script of the file, and scripts are off: the same.
 * - A scene or camera that the settings name and the file does not have, unless files may be missing: then a library
 *   that has it may be on another worker.
 * - Samples or denoising for an engine that has none. The engine is looked at first, because one that the worker lacks
 *   reads as EEVEE.
 * - One file for each stereo view: how the file is set up.
 * - No camera at all, unless files may be missing. Blender looks in the whole scene, whatever the frame.
 *
 * Not the scene's:
 * - An engine or a node of an add-on: another worker may have it.
 * - Colours that are not in the colour configuration: another worker may have another configuration.
 * - A file of a newer Blender is given back (`version`).
 * - Missing or unreadable files, and linked data that is gone from its library: which files a lease needs depends on
 *   its frames (a hole in a sequence), and whether a path leads to a file depends on the machine: shares, the case
 *   of letters, the longest path.
 * - Any error of Python or of Blender itself: its cause is not known.
 * - Everything, where scripts are on: what a script does may differ from worker to worker.
 * - Everything, where the file did not come with the task: its path may lead to another file on another worker.
 */

export const VERDICTS: Readonly<Record<LeaseEnd, Verdict>> = {
  /** The lease ran out: the worker, its machine or its network went silent. */
  expired: { blames: "nobody", counts: "nothing", holdMs: 0, next: AT_ONCE },
  /** The agent stops, or finishes one frame and gives back the others. */
  stopping: { blames: "nobody", counts: "nothing", holdMs: 0, next: AT_ONCE },
  /** The worker cannot run the plan: a program is missing, or its owner does not allow it. */
  unable: { blames: "worker", counts: "nothing", holdMs: 10 * MINUTE_MS, next: "another worker, at once" },
  /**
   * The worker's program is older than the file, and crashed or could not read it. It stays so until its owner
   * installs another one, so it is held off for long; a try costs the load of a file.
   */
  version: { blames: "worker", counts: "nothing", holdMs: 60 * MINUTE_MS, next: "another worker, at once" },
  /** The worker's disk is full. */
  disk: { blames: "worker", counts: "refusal", holdMs: MINUTE_MS, next: "another worker, after new frames" },
  /** Inputs or outputs do not get through between the worker and the manager. */
  transfer: { blames: "worker", counts: "refusal", holdMs: MINUTE_MS, next: "another worker, after new frames" },
  /** Any other trouble of the machine, and all that agents up to 0.1 give no cause for. */
  other: { blames: "worker", counts: "refusal", holdMs: MINUTE_MS, next: "another worker, after new frames" },
  /**
   * The render failed: by its exit code, its output, its missing or unfinished files; with `strict`, by the one colour
   * of its picture.
   */
  failed: { blames: "frame", counts: "failure", holdMs: 0, next: "a worker that has not failed it, after new frames" },
  /**
   * The worker says that the scene is at fault, and the task has no good frame yet. A scene that has delivered one
   * plainly renders: then it is `failed`. Nothing is counted against the worker, which only was the first to look.
   */
  scene: {
    blames: "scene",
    counts: "failure",
    holdMs: 0,
    stops: "stopped at once: every other worker would find the same in the scene",
    next: "nothing, until a person requeues the task",
  },
};

/**
 * A frame that so many workers have refused stops as `failed`. With 1, one full disk would fail frames;
 * with more, a frame that is too large for every machine is rendered that much more often.
 */
export const REFUSED_BY = 2;
/** The longest that a worker is held off or blocklisted: what Afanasy uses for its error avoidance. */
export const LONGEST_MS = 5 * 3_600_000;

/** Texts by which agents up to 0.1, which send no cause, give a lease back. */
const OLD_REASONS: Readonly<Record<string, ReleaseCause>> = {
  "the agent is stopping": "stopping",
  released: "stopping",
  "the worker's disk is full": "disk",
};
const OLD_UNABLE =
  /^(?:the plan breaks|the lease|this agent has no|it runs|it sets|its command|this worker has no) | is no program that |could not be started: /;

/** The cause of a release whose agent names none. */
export function causeOfReason(reason: string): ReleaseCause {
  return OLD_REASONS[reason] ?? (OLD_UNABLE.test(reason) ? "unable" : "other");
}

/** How long a worker is held off or blocklisted, `times` times after the first, in milliseconds. */
export function holdMs(firstMs: number, times: number): number {
  return Math.min(LONGEST_MS, firstMs * 2 ** Math.min(times, 30));
}
