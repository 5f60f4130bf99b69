/**
 * `tablao-tool`: the agent's own helper program, run as `node tool.ts VERB …`. It knows nothing of the manager.
 *
 *     print TEXT FRAMES                                        print a text for every frame
 *     sleep SECONDS FRAMES                                     sleep for every frame
 *     demo WIDTH HEIGHT SAMPLES SEED DELAY_MS OUT FRAMES       render demo frames; OUT, in a folder that is there, holds #### for the number
 *
 * FRAMES are numbers with commas between. What it reports is what the `plain` parser reads: `tablao: frame N` when a frame
 * begins, `tablao: progress F`, and `tablao: saved N PATH` or, for frames without a file, `tablao: done N`.
 * It exits 0 when every frame is done, 1 when one failed, 2 when the arguments are wrong.
 */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeFileAtomic } from "../client/private-file.ts";
import { nameOfFrame } from "../compilers/frame-name.ts";
import { renderDemo } from "./ray-tracer.ts";
import { encodePng } from "./png.ts";

/** Between two progress lines: often enough for a bar, rare enough for a log. */
const PROGRESS_MS = 1_000;

class UsageError extends Error {}

function say(line: string): void {
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

/** Wait, with progress for the parser. */
async function pause(ms: number): Promise<void> {
  const start = performance.now();
  for (let left = ms; left > 0; left = ms - (performance.now() - start)) {
    await sleep(Math.min(left, PROGRESS_MS));
    const fraction = Math.min(1, (performance.now() - start) / ms);
    if (ms > PROGRESS_MS) say(`tablao: progress ${fraction.toFixed(3)}`);
  }
}

async function print([text = "", frames]: string[]): Promise<void> {
  // A text must not pass for a report of ours: one blank in front, and it is log.
  const shown = text.replaceAll(/^tablao: /gm, " tablao: ");
  for (const frame of readFrames(frames)) {
    say(`tablao: frame ${frame}`);
    say(shown);
    say(`tablao: done ${frame}`);
  }
}

async function sleepFrames([seconds, frames]: string[]): Promise<void> {
  const ms = readNumber("SECONDS", seconds, 0, 86_400, false) * 1_000;
  for (const frame of readFrames(frames)) {
    say(`tablao: frame ${frame}`);
    await pause(ms);
    say(`tablao: done ${frame}`);
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
    say(`tablao: frame ${frame}`);
    await pause(delayMs);
    const file = path.join(path.dirname(out), nameOfFrame(path.basename(out), frame));
    writeFileAtomic(file, encodePng(width, height, renderDemo({ width, height, samples, seed, frame })));
    say(`tablao: saved ${frame} ${file}`);
  }
}

const VERBS: Record<string, { run: (args: string[]) => Promise<void>; arity: number }> = {
  print: { run: print, arity: 2 },
  sleep: { run: sleepFrames, arity: 2 },
  demo: { run: demo, arity: 7 },
};

async function main([name = "", ...args]: string[]): Promise<number> {
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  try {
    if (!verb) throw new UsageError(`there is no '${name}'; known are ${Object.keys(VERBS).join(", ")}`);
    if (args.length !== verb.arity) throw new UsageError(`${name} takes ${verb.arity} arguments, not ${args.length}`);
    await verb.run(args);
    return 0;
  } catch (problem) {
    const text = problem instanceof Error ? problem.message : String(problem);
    say(`tablao: error ${text.replaceAll(/\s+/g, " ")}`);
    return problem instanceof UsageError ? 2 : 1;
  }
}

// The reader has gone: nobody wants the result any more.
process.stdout.on("error", () => process.exit(1));
process.exitCode = await main(process.argv.slice(2));
