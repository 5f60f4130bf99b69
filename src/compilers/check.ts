/** Turns the issues of a schema into field errors that a person can act on. */
import type { z } from "zod";
import { fieldErrors } from "../protocol/field-errors.ts";
import type { FieldError } from "../protocol/problem.ts";

/** The number of edits (insert, delete, replace, swap neighbours) from one word to another. */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      }
      row.push(best);
    }
    rows.push(row);
  }
  return rows[from.length]![to.length]!;
}

/** The known word that was probably meant; undefined when no known word is close. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  // No known word is that long, and the table of distances would be as large as the word.
  if (word.length > 64) return undefined;
  const wanted = word.toLowerCase().replaceAll("-", "_");
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(wanted, candidate) }))
    .toSorted((a, b) => a.far - b.far);
  const best = ranked[0];
  return best && best.far <= Math.max(1, Math.floor(wanted.length / 3)) ? best.candidate : undefined;
}

/** Longer words are cut in messages: without that, an answer could repeat a word of a megabyte. */
const SHOWN_CHARS = 60;

/** A submitter's word in quotes, cut to a length that fits into a message. */
export function quoted(word: string): string {
  return `'${word.length > SHOWN_CHARS ? `${word.slice(0, SHOWN_CHARS)}…` : word}'`;
}

/**
 * A field error for each broken rule. `prefix` starts the fields, `whose` names the owner of the
 * settings (a task type) in messages, and an unknown key is named with the key of `keys` that was
 * probably meant.
 */
export function settingErrors(
  issues: readonly z.core.$ZodIssue[],
  prefix: string,
  whose: string,
  keys: readonly string[],
): FieldError[] {
  return fieldErrors(issues, [prefix], (key, path) => {
    const meant = path.length === 0 ? nearest(key, keys) : undefined;
    return `${quoted(key)} is not a setting of ${whose}${meant ? `; did you mean '${meant}'?` : ""}`;
  });
}
