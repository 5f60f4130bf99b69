/** From what a schema found to field errors that a person can act on. Pure. */
import type { z } from "zod";
import type { FieldError } from "./problem.ts";

/** At most this many fields are named: a body with a million mistakes gets a short answer. */
const MAX_ERRORS = 50;

/** What to say of a key that no schema knows; `path` leads to the object that has it. */
export type UnknownKey = (key: string, path: readonly PropertyKey[]) => string;

const notAField: UnknownKey = () => "is not a field of this request";

/**
 * Every offending field with the rule it broke; paths are dotted (`depends_on.0`) and begin with `prefix`, the whole body is
 * ``. Of a union, the branch that got furthest speaks; where none fits the type at all, their messages are joined.
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
      for (const key of issue.keys)
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
  const messages = new Set(branches.flatMap((issues) => issues.map(messageOf)));
  return [{ field: dotted(path), message: [...messages].join("; or ") }];
}

function messageOf(issue: z.core.$ZodIssue): string {
  // A record's key: what is wrong with it is one level below.
  const inner = issue.code === "invalid_key" ? issue.issues[0] : undefined;
  if (inner) return messageOf(inner);
  if (issue.code === "invalid_type" && issue.message.endsWith("received undefined")) return "is required";
  return issue.message.replace(/^Invalid (input|option): /, "");
}

function dotted(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}
