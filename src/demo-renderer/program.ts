/**
 * `tablao-tool`: the agent's own helper program, run as `node main.ts VERB …`, or by the bundled
 * program. It knows nothing of
 * the manager.
 *
 *     print TEXT FRAMES                                        print a text for every frame
 *     sleep SECONDS FRAMES                                     sleep for every frame
 *     demo WIDTH HEIGHT SAMPLES SEED DELAY_MS OUT FRAMES       render demo frames
 *
 * FRAMES are numbers with commas between them. OUT is a path in a folder that exists, with #### for
 * the number of the frame.
 *
 * It prints what the `plain` parser reads: `tablao: frame N` when a frame begins, `tablao: progress
 * F`, and then `tablao: saved N PATH`, or `tablao: done N` for frames without a file.
 *
 * Exit codes: 0 all frames are done, 1 a frame failed, 2 the arguments are wrong.
 */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeFileAtomic } from "../client/private-file.ts";
import { nameOfFrame } from "../compilers/frame-name.ts";
import { renderDemo } from "./ray-tracer.ts";
import { encodePng } from "./png.ts";

/** Between two progress lines: often enough for a bar; more would fill the log. */
const PROGRESS_MS = 1_000;

class UsageError extends Error {}

function report(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readNumber(name: string, text: string | undefined, low: number, high: number, whole = true): number {
  const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new UsageError(
      `${name} must be ${whole ? "a whole" : "a"} number from ${low} to ${high}, not '${text ?? ""}'`,
    );
  }
  return value;
}

function readFrames(text: string | undefined): number[] {
  return (text ?? "").split(",").map((frame) => readNumber("FRAMES", frame, -1e9, 1e9));
}

/** Wait, and report progress. */
async function pause(ms: number): Promise<void> {
  const start = performance.now();
  for (let left = ms; left > 0; left = ms - (performance.now() - start)) {
    await sleep(Math.min(left, PROGRESS_MS));
    const fraction = Math.min(1, (performance.now() - start) / ms);
    if (ms > PROGRESS_MS) report(`tablao: progress ${fraction.toFixed(3)}`);
  }
}

async function print([text = "", frames]: string[]): Promise<void> {
  // A text must not look like a report of this program: with a blank in front, the parser reads it
  // as log.
  const shown = text.replaceAll(/^tablao: /gm, " tablao: ");
  for (const frame of readFrames(frames)) {
    report(`tablao: frame ${frame}`);
    report(shown);
    report(`tablao: done ${frame}`);
  }
}

async function sleepFrames([seconds, frames]: string[]): Promise<void> {
  const ms = readNumber("SECONDS", seconds, 0, 86_400, false) * 1_000;
  for (const frame of readFrames(frames)) {
    report(`tablao: frame ${frame}`);
    await pause(ms);
    report(`tablao: done ${frame}`);
  }
}

async function demo(args: string[]): Promise<void> {
  const width = readNumber("WIDTH", args[0], 1, 8_192);
  const height = readNumber("HEIGHT", args[1], 1, 8_192);
  const samples = readNumber("SAMPLES", args[2], 1, 256);
  const seed = readNumber("SEED", args[3], 0, 0xffff_ffff);
  const delayMs = readNumber("DELAY_MS", args[4], 0, 600_000);
  const out = args[5] ?? "";
  if (!path.basename(out).includes("#")) throw new UsageError("OUT must be a path with # in its file name");
  const frames = readFrames(args[6]);
  for (const frame of frames) {
    report(`tablao: frame ${frame}`);
    await pause(delayMs);
    const file = path.join(path.dirname(out), nameOfFrame(path.basename(out), frame));
    writeFileAtomic(file, encodePng(width, height, renderDemo({ width, height, samples, seed, frame })));
    report(`tablao: saved ${frame} ${file}`);
  }
}

const VERBS: Record<string, { run: (args: string[]) => Promise<void>; arity: number }> = {
  print: { run: print, arity: 2 },
  sleep: { run: sleepFrames, arity: 2 },
  demo: { run: demo, arity: 7 },
};

/** Run the helper program with these arguments. Answers with its exit code. */
export async function runDemoRenderer([name = "", ...args]: readonly string[]): Promise<number> {
  // The agent has closed the pipe: the result is not wanted any more.
  process.stdout.on("error", () => process.exit(1));
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  try {
    if (!verb) throw new UsageError(`there is no '${name}'; known are ${Object.keys(VERBS).join(", ")}`);
    if (args.length !== verb.arity) throw new UsageError(`${name} takes ${verb.arity} arguments, not ${args.length}`);
    await verb.run(args);
    return 0;
  } catch (problem) {
    const text = problem instanceof Error ? problem.message : String(problem);
    report(`tablao: error ${text.replaceAll(/\s+/g, " ")}`);
    return problem instanceof UsageError ? 2 : 1;
  }
}
