/**
 * Blocks of the documentation that a command writes: the lines between `<!-- name -->` and `<!--
 * /name -->` in a file below `docs/`. A test compares the block with what the code says now.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const DOCS = path.resolve(import.meta.dirname, "../../docs");

function parts(file: string, name: string): { before: string; block: string; after: string } {
  const text = readFileSync(path.join(DOCS, file), "utf8");
  const [from, to] = [`<!-- ${name} -->\n`, `<!-- /${name} -->\n`];
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`docs/${file} has no block ${name}`);
  const begin = start + from.length;
  return { before: text.slice(0, begin), block: text.slice(begin, end), after: text.slice(end) };
}

/** The lines of a block that belong to a table. Other lines, such as a date, are not compared. */
export function tableIn(file: string, name: string): string[] {
  return parts(file, name)
    .block.split("\n")
    .filter((line) => line.startsWith("|"));
}

/** Replace the lines of a block. */
export function writeBlock(file: string, name: string, lines: readonly string[]): void {
  const { before, after } = parts(file, name);
  writeFileSync(path.join(DOCS, file), `${before}\n${lines.join("\n")}\n\n${after}`);
}

/** Today, as the commands write it: `2026-11-27`. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}
