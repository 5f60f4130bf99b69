/** Turns the issues that a schema found into field errors that a person can act on. Pure. */
import type { z } from "zod";
import { anyOf, issueText } from "./issue-text.ts";
import { MAX_ERRORS } from "./bounded.ts";
import type { FieldError } from "./problem.ts";

/**
 * Longer names in a path are cut. A name is the sender's own text: without this, an answer would
 * repeat one of a megabyte.
 */
const MAX_NAME_CHARS = 100;
/** Longer messages are cut, for the same reason. */
const MAX_MESSAGE_CHARS = 500;

/** The message for a key that the schema does not have; `path` leads to the object that has it. */
export type UnknownKey = (key: string, path: readonly PropertyKey[]) => string;

const notAField: UnknownKey = () => "is not a field of this request";

/**
 * Every offending field with the rule that it broke, MAX_ERRORS at most. The cost is bounded by
 * that as well: it does not grow with the number of issues or unknown keys.
 * - Paths are dotted (`depends_on.0`) and begin with `prefix`; an error about the whole body has
 *   the empty path.
 * - For a union, the errors are those of the first branch whose type fits the value. Where no
 *   branch fits, there is one error with the messages of all branches.
 */
export function fieldErrors(
  issues: readonly z.core.$ZodIssue[],
  prefix: readonly PropertyKey[] = [],
  unknownKey: UnknownKey = notAField,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const issue of issues) {
    if (errors.length >= MAX_ERRORS) break;
    const path = [...prefix, ...issue.path];
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys.slice(0, MAX_ERRORS - errors.length))
        errors.push({ field: dotted([...path, key]), message: unknownKey(key, issue.path) });
    } else if (issue.code === "invalid_union" && issue.errors.length > 0) {
      errors.push(...unionErrors(issue.errors, path, unknownKey));
    } else {
      errors.push({ field: dotted(path), message: messageOf(issue) });
    }
  }
  return errors.slice(0, MAX_ERRORS);
}

function unionErrors(
  branches: readonly (readonly z.core.$ZodIssue[])[],
  path: readonly PropertyKey[],
  unknownKey: UnknownKey,
): FieldError[] {
  const fitting = branches.filter(
    (issues) =>
      !issues.some(
        (issue) => issue.path.length === 0 && (issue.code === "invalid_type" || issue.code === "invalid_value"),
      ),
  );
  const best = fitting[0];
  if (best) return fieldErrors(best, path, unknownKey);
  const messages = branches.flatMap((issues) => issues.map(messageOf));
  return [{ field: dotted(path), message: cut(anyOf(messages), MAX_MESSAGE_CHARS) }];
}

function messageOf(issue: z.core.$ZodIssue): string {
  // A record's key: what is wrong with it is one level below.
  const inner = issue.code === "invalid_key" ? issue.issues[0] : undefined;
  if (inner) return messageOf(inner);
  return cut(issueText(issue), MAX_MESSAGE_CHARS);
}

function dotted(path: readonly PropertyKey[]): string {
  return path.map((name) => cut(String(name), MAX_NAME_CHARS)).join(".");
}

function cut(text: string, chars: number): string {
  return text.length > chars ? `${text.slice(0, chars)}…` : text;
}
