/** A fake ffmpeg: it records each run, and acts as the content of its input files says. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const PROGRAM = `
  const fs = require("node:fs");
  const bare = (name) => name.replace(/^file:/, "");
  const args = process.argv.slice(2);
  const inputs = args.flatMap((arg, i) => (args[i - 1] === "-i" ? [bare(arg)] : []));
  const targets = args.flatMap((arg, i) => (args[i - 2] === "-update" ? [bare(arg)] : []));
  const note = { pid: process.pid, nice: require("node:os").getPriority(), files: inputs };
  fs.appendFileSync(__filename + ".runs", JSON.stringify(note) + "\\n");
  const texts = inputs.map((input) => fs.readFileSync(input, "utf8"));
  if (texts.some((text) => text.includes("hangs"))) setInterval(() => {}, 1_000);
  else for (const [i, text] of texts.entries()) {
    if (text.includes("corrupt")) process.exit(1);
    fs.writeFileSync(targets[i], "preview of " + text);
  }`;

export interface FakeFfmpeg {
  command: readonly [string, string];
  /** Its runs so far: process id, niceness, and the names of the files it read. */
  runs(): { pid: number; nice: number; files: string[] }[];
}

/**
 * Make one in this folder. It makes no preview of a file whose text has `corrupt` in it, nor of
 * those after it; with a file that has `hangs` in it, it never ends.
 */
export function fakeFfmpeg(folder: string): FakeFfmpeg {
  const file = path.join(folder, "ffmpeg.cjs");
  writeFileSync(file, PROGRAM);
  writeFileSync(`${file}.runs`, "");
  const runs = (): ReturnType<FakeFfmpeg["runs"]> => {
    const lines = readFileSync(`${file}.runs`, "utf8").split("\n").filter(Boolean);
    const notes = lines.map((line) => JSON.parse(line) as ReturnType<FakeFfmpeg["runs"]>[number]);
    return notes.map((note) => ({ ...note, files: note.files.map((name) => path.basename(name)) }));
  };
  return { command: [process.execPath, file], runs };
}
