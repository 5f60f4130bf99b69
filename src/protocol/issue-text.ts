/** The rule that a value broke, in words that people know, as a phrase that follows the field. Pure. */
import type { z } from "zod";

/** Kinds of values by zod's names for them. */
const KINDS: Readonly<Record<string, string>> = {
  array: "a list",
  bigint: "a whole number",
  boolean: "true or false",
  int: "a whole number",
  map: "an object",
  null: "null",
  number: "a number",
  object: "an object",
  record: "an object",
  string: "text",
  undefined: "left out",
};

/** What zod says itself. A schema with words of its own keeps them. */
const OWN_WORDS = /^(Invalid (input|option|string|number|URL|key|element)|Too (big|small))/;

/** What the field must be. */
export function issueText(issue: z.core.$ZodIssue): string {
  if (!OWN_WORDS.test(issue.message)) return issue.message;
  switch (issue.code) {
    case "invalid_type":
      if (issue.message.endsWith("received undefined")) return "is required";
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${list(issue.values.map((value) => JSON.stringify(value) ?? String(value)))}`;
    case "too_big":
      return limit("most", issue.origin, issue.maximum, issue.inclusive);
    case "too_small":
      return limit("least", issue.origin, issue.minimum, issue.inclusive);
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "invalid_format":
      return issue.format === "url" ? "must be an address such as https://example.org/" : "is not in the right form";
    case "custom":
    case "invalid_element":
    case "invalid_key":
    case "invalid_union":
    case "unrecognized_keys":
      return issue.message.replace(/^Invalid (input|option): /, "");
  }
}

/** The rules of several branches of which none fits. */
export function anyOf(texts: readonly string[]): string {
  const each = [...new Set(texts)];
  const plain = each.map((text) => /^must be (.*)$/.exec(text)?.[1]);
  return plain.every((text) => text !== undefined) ? `must be ${list(plain)}` : each.join("; or ");
}

function limit(side: "most" | "least", origin: string, bound: number | bigint, inclusive: boolean | undefined): string {
  const unit = { string: "character", array: "entry", set: "entry", map: "entry", object: "field", record: "field" }[
    origin
  ];
  if (unit !== undefined) return `must have at ${side} ${bound} ${bound === 1 ? unit : plural(unit)}`;
  if (inclusive !== false) return `must be at ${side} ${bound}`;
  return side === "most" ? `must be less than ${bound}` : `must be more than ${bound}`;
}

function plural(unit: string): string {
  return unit === "entry" ? "entries" : `${unit}s`;
}

/** `a`, `a or b`, `a, b or c`. */
function list(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} or ${items.at(-1)}`;
}
