/**
 * `ffmpeg`: its log, and the `key=value` lines of `-progress pipe:1`.
 *
 * There are no `saved` events, because the output is complete only when the process has ended. The
 * outputs of the plan say which file must exist then.
 */
import { errorOf, type ParserEvent, type ParserFactory } from "./parser.ts";

/**
 * ffmpeg's lines are short, so a longer line is no report. Without a limit, a hostile line would
 * cost the agent's time.
 */
const MAX_LINE_CHARS = 4_096;

/** Lines of the log that say why ffmpeg cannot go on. */
const REASONS =
  /(No such file or directory|Could find no file|Invalid data found|Invalid argument|Permission denied|No space left|Unknown encoder|Unrecognized option|not divisible by|Error (?:while|opening|initializing|submitting|sending|parsing)|Cannot allocate|inflate returned error|corrupt|Invalid PNG|does not contain any stream|Option .{1,64} not found)/i;
/** Lines of a decoder or demuxer about an input: the reason, if the run fails. */
const ABOUT_INPUT = /^\[(?:png|mjpeg|exr|image2|vist#[^\]]{1,40}) @ /;
/** The last lines of a failed run. They are the reason only when no other line gave one. */
const SUMMARY =
  /^(Conversion failed!|Error marking filters as finished|Exiting normally, received signal|Terminating|Task finished with error)/;

/** The parser of ffmpeg's output. All its events are about the first frame of the lease. */
export const ffmpeg: ParserFactory = {
  name: "ffmpeg",
  summary: "Reads progress and errors from ffmpeg's output.",
  create(frames) {
    let lengthUs = 0;
    let begun = false;
    let reasonGiven = false;

    function begin(): ParserEvent[] {
      const first = frames[0];
      if (begun || first === undefined) return [];
      begun = true;
      return [{ kind: "frame", frame: first }];
    }

    function progress(key: string, value: string): ParserEvent[] {
      if (key === "frame" && /^\d{1,10}$/.test(value)) {
        return [...begin(), { kind: "activity", text: `encoded ${Number(value)} frames` }];
      }
      if (key === "out_time_us" && lengthUs > 0 && /^\d{1,16}$/.test(value)) {
        return [{ kind: "progress", fraction: Math.min(1, Number(value) / lengthUs) }];
      }
      if (key === "progress" && value === "end") return [{ kind: "progress", fraction: 1 }];
      return [];
    }

    return {
      line(raw) {
        if (raw.length > MAX_LINE_CHARS) return [];
        const text = raw.replace(/\r$/, "");
        const pair = /^([a-z_0-9]{1,32})= {0,20}(\S{1,64})$/.exec(text);
        if (pair) return progress(pair[1] ?? "", pair[2] ?? "");
        const length = /^ {2}Duration: (\d{2,4}):(\d{2}):(\d{2}(?:\.\d{1,6})?), start:/.exec(text);
        if (length) {
          lengthUs = (Number(length[1]) * 3_600 + Number(length[2]) * 60 + Number(length[3])) * 1e6;
          return [];
        }
        if (SUMMARY.test(text)) return reasonGiven ? [] : [{ kind: "error", text: text.trim(), fatal: false }];
        const fatal = REASONS.test(text);
        if (!fatal && !ABOUT_INPUT.test(text)) return [];
        // `[png @ 0x55d0c8b3a2c0]` has a memory address in it, which would make equal errors look
        // different.
        const error = errorOf(text.replace(/^(?:\[[^\]]{1,80}\] ?){1,3}/, ""), fatal);
        reasonGiven ||= error !== undefined;
        return error ? [error] : [];
      },
    };
  },
};
