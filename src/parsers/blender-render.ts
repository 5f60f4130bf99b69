/**
 * `blender_render`: the output of Blender in background mode. Blender has two styles:
 *
 * - Up to 4.x, the bare message: `Fra:5 Mem:9.04M (Peak 10.83M) | Time:00:00.13 | …`,
 *   `Error: Cannot render, no camera`.
 * - From 5.0 on, a message with a log prefix: `00:01.234 render | Fra: 5 | …`,
 *   `00:00.438  reports          | ERROR Cannot render, no camera`. Continuation lines have blanks
 *   for a prefix.
 */
import {
  FATAL_PREFIX,
  FAULT_PREFIX,
  FAULTS,
  SCENES_PREFIX,
  WARNING_PREFIX,
  type Fault,
} from "../protocol/constants.ts";
import { errorOf, warningOf, type ParserEvent, type ParserFactory } from "./parser.ts";

/**
 * Blender's lines are short, so a longer line is no report. Without a limit, a hostile line would
 * cost the agent's time.
 */
const MAX_LINE_CHARS = 4_096;

/** The most scenes that are remembered: a file with more is not one that people made. */
const MAX_SCENES = 1_000;

const LOG_PREFIX = /^(?:\d{1,3}:)?\d{1,3}:\d{2}\.\d{1,6} {1,4}[\w.]{1,64} {0,40}\| ?/;
const CONTINUATION = /^ {8,64}\| /;
const OUR_FILE = /^frame_(-?\d{1,7})\.[a-z]{3}$/;

/** Reports after which the frame cannot be right, even if Blender goes on and exits 0. */
const FATAL_REPORTS =
  /^(Cannot read (?:blend )?file|Failed to read|Cannot render|Build without|Render error|Can't find scene|No frame|Out of memory|System is out of|Unable to open a display|[MC]alloc(?:array)? returns null)/i;
/** Those of the fatal reports that Blender prints without `Error:`. */
const FATAL_BARE = /^(Can't find scene|System is out of|Unable to open a display|[MC]alloc(?:array)? returns null)/i;
/** Blender looks for a camera in the whole scene, whichever frame it renders: another worker would find none either. */
const NO_CAMERA = /^Cannot render, no camera/;
/** Blender says this of a file when it loads it, before anybody has chosen an engine. */
const NO_ENGINE = /^Engine '(.{1,300}?)' not available for scene '(.{1,300}?)' \(/;
/** EEVEE was BLENDER_EEVEE_NEXT in Blender 4.2 to 4.5 only; every Blender takes its own EEVEE for either name. */
const EEVEE = new Set(["BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"]);
/** A scene's colours are others than on the machine where it was made: the worker lacks its colour configuration. */
const OTHER_COLOURS = /^Color management: scene (?:view|look|display)\b.* not found/i;
/** Cycles (5.0 and later) renders without this picture. */
const NO_PICTURE = /^Image file '.*' (?:does not exist|failed to load)/;
/**
 * What may make a picture wrong. The machine where the scene was made may have said the same, so the frame counts: a
 * modifier that does nothing, a driver that fails, a colour space of one image, a file of a newer Blender.
 */
const MODIFIER = /Object: "(.{1,300}?)", Modifier: "(.{1,300}?)", (.{1,500})$/;
const DOUBTFUL = /^(Error in PyDriver: .*|Color management: .* not found.*|File written by newer Blender.*)$/i;
/** Blender repeats the whole expression that failed here. The lines before it had the reason. */
const NO_REASON = /^script failed, (expr|file):/;

/** The seconds of `01:02.50` or `1:01:02.50`; undefined for any other text. */
function secondsOf(clock: string): number | undefined {
  const match = /^(?:(\d{1,5}):)?(\d{1,3}):(\d{2}(?:\.\d{1,6})?)$/.exec(clock);
  return match ? Number(match[1] ?? 0) * 3_600 + Number(match[2]) * 60 + Number(match[3]) : undefined;
}

/**
 * The done part of a frame, 0 to 1, by its samples and tiles: `Rendered 1/4 Tiles, Sample 32/128`,
 * `Sample 4/64`, `Rendering 8 / 16 samples`.
 */
function fractionOf(activity: string): number | undefined {
  const match =
    /(?:Rendered (\d{1,9})\/(\d{1,9}) Tiles, )?Sample (\d{1,9})\/(\d{1,9})/.exec(activity) ??
    /Rendering()() {0,2}(\d{1,9}) \/ (\d{1,9}) samples/.exec(activity);
  if (!match) return undefined;
  const samples = Number(match[3]) / Math.max(1, Number(match[4]));
  const fraction = match[2] ? (Number(match[1]) + samples) / Math.max(1, Number(match[2])) : samples;
  return Math.min(1, fraction);
}

/** The events of the columns after `Fra:N`. */
function columns(text: string): ParserEvent[] {
  const events: ParserEvent[] = [];
  let memorySeen = false;
  let activity = "";
  for (const column of text.split("|").map((part) => part.trim())) {
    const memory = /^Mem: ?(\d{1,9}(?:\.\d{1,3})?)([KMG])/.exec(column);
    const remaining = /^Remaining: ?([\d:.]{1,20})$/.exec(column);
    if (memory) {
      // The first such column is Blender's own and includes the scene. The engine's column follows;
      // its memory is a part of the first.
      const mib = Number(memory[1]) * (memory[2] === "G" ? 1_024 : memory[2] === "K" ? 1 / 1_024 : 1);
      if (!memorySeen) events.push({ kind: "memory", mib });
      memorySeen = true;
    } else if (remaining) {
      const seconds = secondsOf(remaining[1] ?? "");
      if (seconds !== undefined) events.push({ kind: "remaining", seconds });
    } else if (column !== "" && !column.startsWith("Time:")) {
      activity = column;
    }
  }
  const fraction = fractionOf(activity);
  if (fraction !== undefined) events.push({ kind: "progress", fraction });
  if (activity !== "") events.push({ kind: "activity", text: activity });
  return events;
}

/** A Python traceback that is being read. Its last line, the exception, is the reason. */
class Traceback {
  /**
   * The error is in a script of the .blend file or in our script, not in an add-on of the worker,
   * so the result cannot be trusted.
   */
  private ours = false;

  /** Feed a line. Returns the event at the line of the exception, and null before it. */
  line(text: string): ParserEvent | null {
    const place = /^\s+File "(.{0,1024})", line \d+/.exec(text)?.[1];
    if (place !== undefined) this.ours ||= /\.blend[\\/]|^<|^\\|^\/[^/]*$/.test(place);
    if (/^\s/.test(text) || text === "") return null;
    return { kind: "error", text: `Python: ${text.trim()}`, fatal: this.ours };
  }
}

/** A line about what may be wrong with the picture. */
function doubtIn(message: string): ParserEvent | undefined {
  const said = message.replace(/^(?:Error: |ERROR |Warning: |WARNING )/, "");
  const modifier = /^(?:ERROR|WARNING)\b/.test(message) ? MODIFIER.exec(said) : null;
  if (modifier) return warningOf(`modifier "${modifier[2]}" of object "${modifier[1]}": ${modifier[3]}`, true);
  return DOUBTFUL.test(said) ? warningOf(said, true) : undefined;
}

/** What the script says of the scenes that are rendered; undefined when the line is none of its own. */
function scenesIn(message: string): { names: unknown[]; mayLackFiles: boolean; size: ParserEvent[] } | undefined {
  if (!message.startsWith(SCENES_PREFIX)) return undefined;
  try {
    const said = JSON.parse(message.slice(SCENES_PREFIX.length)) as Record<string, unknown>;
    const [width, height] = Array.isArray(said["size"]) ? (said["size"] as unknown[]) : [];
    const isSize = typeof width === "number" && typeof height === "number";
    const size: ParserEvent[] = isSize ? [{ kind: "size", width, height }] : [];
    const { names } = said;
    return Array.isArray(names) ? { names, mayLackFiles: said["may_lack_files"] === true, size } : undefined;
  } catch {
    return undefined;
  }
}

function errorIn(message: string): ParserEvent | undefined {
  const report = /^(?:Error: |ERROR )(.+)$/.exec(message)?.[1];
  if (report !== undefined) return NO_REASON.test(report) ? undefined : errorOf(report, FATAL_REPORTS.test(report));
  if (FATAL_BARE.test(message)) return errorOf(message, true);
  const warning =
    /^(?:Warning: |WARNING )(Unable to open '.*)$/.exec(message)?.[1] ?? /^scripts disabled for .*$/.exec(message)?.[0];
  return warning === undefined ? undefined : errorOf(warning, false);
}

/**
 * What Blender says of a file that a newer version saved. It goes on after the first sentence (all releases
 * to 5.0), and stops after the second (from 4.3 on, for files of a future format).
 */
function newerFile(message: string): ParserEvent | undefined {
  const binary = /^(?:Warning: |WARNING )?File written by newer Blender binary \((\d{1,3})(\d\d)\.\d{1,5}\)/.exec(
    message,
  );
  if (binary) return { kind: "newer_file", version: `${Number(binary[1])}.${Number(binary[2])}` };
  return /incomplete header, may be from a newer version of Blender/.test(message)
    ? { kind: "newer_file", version: null }
    : undefined;
}

/** The parser of Blender's output. Frames outside the lease are not reported. */
export const blenderParser: ParserFactory = {
  name: "blender_render",
  summary: "Reads frames, progress, saved files and errors from Blender's output.",
  create(frames) {
    const lease = new Set(frames);
    let current: number | undefined;
    let traceback: Traceback | undefined;
    /** Engines that this Blender does not have, by the scenes that have them. Bounded, as scenes are many at most. */
    const noEngine = new Map<string, string>();
    let mayLackFiles = false;
    /** Whose fault the script's next fatal line is. */
    let fault: Fault | undefined;

    /** A fatal line of the script, or the line before it that says whose fault it is. */
    function refusal(message: string): ParserEvent[] | undefined {
      if (message.startsWith(FAULT_PREFIX)) {
        fault = FAULTS.find((one) => one === message.slice(FAULT_PREFIX.length));
        return [];
      }
      if (!message.startsWith(FATAL_PREFIX)) return undefined;
      const error = errorOf(message.slice(FATAL_PREFIX.length), true, fault);
      fault = undefined;
      return error ? [error] : [];
    }

    /** Lines about the scene as a whole, which mean something only together. */
    function aboutScene(message: string): ParserEvent[] | undefined {
      if (message.startsWith(WARNING_PREFIX)) {
        const warning = warningOf(message.slice(WARNING_PREFIX.length), false);
        return warning ? [warning] : [];
      }
      const scenes = scenesIn(message);
      if (scenes) {
        ({ mayLackFiles } = scenes);
        return [...scenes.size, ...scenes.names.flatMap((name) => engineEvents(name))];
      }
      const report = message.replace(/^(?:Error: |ERROR )/, "");
      const lacking = NO_ENGINE.exec(report);
      if (lacking && noEngine.size < MAX_SCENES) noEngine.set(lacking[2]!, lacking[1]!);
      if (lacking) return [];
      if (NO_CAMERA.test(report))
        return [{ kind: "error", text: report, fatal: true, ...(!mayLackFiles && { fault: "scene" as const }) }];
      if (OTHER_COLOURS.test(report)) return [{ kind: "error", text: report, fatal: true }];
      if (!NO_PICTURE.test(report)) return undefined;
      return mayLackFiles
        ? [{ kind: "warning", text: report, picture: false }]
        : [{ kind: "error", text: report, fatal: true }];
    }

    function engineEvents(scene: unknown): ParserEvent[] {
      const engine = typeof scene === "string" ? noEngine.get(scene) : undefined;
      if (engine === undefined || engine === "BLENDER_EEVEE") return [];
      const text = `this Blender does not have the render engine ${engine} of scene "${String(scene)}"`;
      if (EEVEE.has(engine)) return [{ kind: "warning", text: `${text}, and takes its own EEVEE`, picture: true }];
      return [
        {
          kind: "error",
          text: `${text}: install its add-on on the workers, or choose another (--engine)`,
          fatal: true,
        },
      ];
    }

    function begin(frame: number): ParserEvent[] {
      if (frame === current || !lease.has(frame)) return [];
      current = frame;
      return [{ kind: "frame", frame }];
    }

    return {
      line(raw) {
        if (raw.length > MAX_LINE_CHARS) return [];
        const text = raw.replace(/\r$/, "");
        const message = text.replace(LOG_PREFIX, "").replace(CONTINUATION, "");
        if (/^(?:(?:Error: |ERROR )?Python: )?Traceback \(most recent call last\)/.test(message)) {
          traceback = new Traceback();
          return [];
        }
        const fra = /^Fra: ?(-?\d{1,7})\b(.*)$/.exec(message);
        const saved = /^Saved: ?'(.+)'/.exec(message)?.[1];
        if (traceback && !fra && saved === undefined) {
          const event = traceback.line(message);
          if (event) traceback = undefined;
          return event ? [event] : [];
        }
        traceback = undefined;
        if (fra) return [...begin(Number(fra[1])), ...columns(fra[2] ?? "")];
        const started = /^Rendering frame (-?\d{1,7})$/.exec(message)?.[1];
        if (started !== undefined) return begin(Number(started));
        if (saved !== undefined) {
          const number = Number(
            OUR_FILE.exec(saved.slice(Math.max(saved.lastIndexOf("/"), saved.lastIndexOf("\\")) + 1))?.[1],
          );
          return [{ kind: "saved", frame: lease.has(number) ? number : null, path: saved }];
        }
        const known = refusal(message) ?? aboutScene(message);
        if (known) return known;
        const error = errorIn(message);
        const doubt = error?.kind === "error" && error.fatal ? undefined : doubtIn(message);
        return [newerFile(message), error, doubt].filter((event) => event !== undefined);
      },
    };
  },
};
