/** Questions on a terminal, before something is deleted. */
import { createInterface } from "node:readline/promises";
import type { Output } from "./command-line.ts";

/** Whether somebody can answer a question. */
export function canAsk(out: Output): boolean {
  return !out.json && process.stdin.isTTY && process.stderr.isTTY;
}

/** Ask on the terminal; only `y` and `yes` are a yes. */
export async function confirmed(question: string): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await reader.question(question)).trim());
  } finally {
    reader.close();
  }
}
