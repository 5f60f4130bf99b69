/**
 * `plain`: for programs that report nothing, or that report in our own format. A line that starts
 * with `tablao:` is a report:
 *
 *     tablao: frame 3            work on frame 3 has begun
 *     tablao: progress 0.5       half of this frame is done
 *     tablao: saved 3 /path      the file of frame 3 is complete
 *     tablao: done 3             frame 3 is finished and has no file
 *     tablao: error text         the program cannot go on, and why
 *     tablao: warning: text      people should know this of the frame; it is rendered all the same
 *
 * All other lines are log. Reports about frames outside the lease are ignored.
 */
import { WARNING_PREFIX } from "../protocol/constants.ts";
import { errorOf, warningOf, type ParserEvent, type ParserFactory } from "./parser.ts";

/** What is read of a warning. Without a limit, a hostile line would cost the agent's time. */
const MAX_LINE_CHARS = 4_096;
/** A report. Its limits of length bound the work on a hostile line. */
const REPORT = /^tablao: (frame|progress|saved|done|error) (.{1,4096})$/s;
/** A frame number. Text with more digits is no frame. */
const FRAME = /^-?\d{1,10}$/;

function frameIn(text: string, lease: ReadonlySet<number>): number | undefined {
  const frame = FRAME.test(text) ? Number(text) : undefined;
  return frame !== undefined && lease.has(frame) ? frame : undefined;
}

function report(verb: string, rest: string, lease: ReadonlySet<number>): ParserEvent | undefined {
  if (verb === "error") return errorOf(rest, true);
  if (verb === "progress") {
    const fraction = /^\d(\.\d{1,9})?$/.test(rest) ? Number(rest) : 2;
    return fraction <= 1 ? { kind: "progress", fraction } : undefined;
  }
  const blank = rest.indexOf(" ");
  const frame = frameIn(blank === -1 ? rest : rest.slice(0, blank), lease);
  if (frame === undefined) return undefined;
  const path = blank === -1 ? "" : rest.slice(blank + 1);
  if (verb === "frame" && path === "") return { kind: "frame", frame };
  if (verb === "done" && path === "") return { kind: "saved", frame, path: "" };
  return verb === "saved" && path !== "" ? { kind: "saved", frame, path } : undefined;
}

/** The parser for lines in our own format. */
export const plain: ParserFactory = {
  name: "plain",
  summary: "Takes `tablao:` lines as reports, and everything else as log.",
  create(frames) {
    const lease = new Set(frames);
    return {
      line(text) {
        if (text.startsWith(WARNING_PREFIX)) {
          const warning = warningOf(text.slice(WARNING_PREFIX.length, MAX_LINE_CHARS), false);
          return warning ? [warning] : [];
        }
        const match = REPORT.exec(text);
        const event = match ? report(match[1] ?? "", match[2] ?? "", lease) : undefined;
        return event ? [event] : [];
      },
    };
  },
};
