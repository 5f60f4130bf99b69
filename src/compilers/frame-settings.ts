/** Settings that all task types share: the frames, and how long one frame may take. */
import { z } from "zod";
import { framesSchema } from "../protocol/fields.ts";
import {
  countFrames,
  formatFrameList,
  MAX_FRAME_NUMBER,
  MAX_FRAMES,
  parseFrameList,
  type FrameList,
} from "../protocol/frame-list.ts";

const frameNumber = z.int().min(-MAX_FRAME_NUMBER).max(MAX_FRAME_NUMBER);

/** One week. A process that needs longer for one frame has most likely hung. */
const MAX_FRAME_TIMEOUT_S = 7 * 86_400;

/**
 * The schemas of these settings; every type spreads them into its own strict object.
 * `frame_timeout_s` is in seconds; null or absent for no limit.
 */
export const frameFields = {
  frames: framesSchema.optional(),
  frame_start: frameNumber.optional(),
  frame_end: frameNumber.optional(),
  frame_timeout_s: z.number().positive().max(MAX_FRAME_TIMEOUT_S).nullish(),
};

/** Names of these settings. A missing name would not be suggested for a mistyped one. */
export const FRAME_KEYS = Object.keys(frameFields);

interface FrameInput {
  frames?: string | undefined;
  frame_start?: number | undefined;
  frame_end?: number | undefined;
  frame_timeout_s?: number | null | undefined;
}

/** The normalised form of the shared settings. */
interface FrameSettings {
  /** Canonical frame list. */
  frames: string;
  frame_timeout_s: number | null;
}

/** The part of zod's transform context that these functions use. */
export interface IssueSink {
  addIssue(issue: { code: "custom"; message: string; path: (string | number)[] }): void;
}

/** Report that the setting at `path` breaks a rule; `message` is a phrase that follows its name. */
export function complain(sink: IssueSink, message: string, ...path: (string | number)[]): void {
  sink.addIssue({ code: "custom", message, path });
}

/**
 * The canonical frame list of `frames`, or of `frame_start` and `frame_end`, and the time limit of
 * a frame. Null after an issue was reported to `sink`. `fallback` is the list of a task that names
 * no frames; without it, frames are required.
 */
export function frameSettingsOf(input: FrameInput, sink: IssueSink, fallback?: string): FrameSettings | null {
  const { frames, frame_start: start, frame_end: end, frame_timeout_s = null } = input;
  const text = frames ?? (start !== undefined && end !== undefined ? `${start}-${end}` : undefined);
  if (frames !== undefined && (start !== undefined || end !== undefined)) {
    complain(sink, "goes without `frame_start` and `frame_end`: give one or the other", "frames");
  } else if (frames === undefined && start !== undefined && end === undefined) {
    complain(sink, "is required with `frame_start`", "frame_end");
  } else if (frames === undefined && start === undefined && end !== undefined) {
    complain(sink, "is required with `frame_end`", "frame_start");
  } else if (start !== undefined && end !== undefined && start > end) {
    complain(sink, "must be at most `frame_end`", "frame_start");
  } else if (start !== undefined && end !== undefined && end - start >= MAX_FRAMES) {
    complain(sink, `is too far from \`frame_start\`: at most ${MAX_FRAMES} frames are allowed`, "frame_end");
  } else if (text === undefined && fallback === undefined) {
    complain(sink, "is required: a list such as `1-250`, or `frame_start` and `frame_end`", "frames");
  } else {
    return { frames: formatFrameList(listOf(text ?? fallback ?? "")), frame_timeout_s };
  }
  return null;
}

/** The list of a text that was validated before. Throws when the text is no frame list. */
export function listOf(frames: string): FrameList {
  const parsed = parseFrameList(frames);
  if (!parsed.ok) throw new Error(`a stored frame list ${parsed.error}`);
  return parsed.value;
}

/** True when the list has exactly one frame. */
export function isOneFrame(frames: string): boolean {
  return countFrames(listOf(frames)) === 1;
}
