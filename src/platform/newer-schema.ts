/**
 * Rows that a newer version of the manager wrote: an older one must not touch them. The error is
 * known again by its text, because errors reach the callers of an object as texts. Pure.
 */
import { messageOf } from "../lib/errors.ts";
import type { Refusal } from "../protocol/problem.ts";

const TEXT = /the rows are at schema step (\d+), and this code knows (\d+)/;

/** The error of an object whose rows are at a later step than the code knows. */
export function newerSchema(step: number, known: number): Error {
  return new Error(`the rows are at schema step ${step}, and this code knows ${known}`);
}

/** The refusal of a call to such an object; null for any other error. */
export function newerSchemaRefusal(error: unknown): Refusal | null {
  const [, step, known] = TEXT.exec(messageOf(error)) ?? [];
  if (step === undefined) return null;
  return {
    code: "manager_outdated",
    detail:
      `This manager's data was written by a newer version (schema ${step}; this version knows ${known}). ` +
      "Nothing is changed or lost. Deploy that version or a newer one.",
  };
}

/**
 * Stands in for a part of an object that must not be used: whatever is asked of it throws `error`.
 * So an object with newer rows can be constructed. If its constructor threw, the platform would
 * give its alarm up after a few tries, and the newer version would never hear of it again.
 */
export function unusable(error: unknown): object {
  const refuse = (): never => {
    throw error;
  };
  return new Proxy({}, { get: refuse });
}
