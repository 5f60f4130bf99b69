/** Field types that several schemas share. */
import { z } from "zod";
import { parseFrameList } from "./frame-list.ts";

/** Lower-case hexadecimal SHA-256. */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hexadecimal digits");

/** A frame list in the grammar of `frame-list.ts`. */
export const framesSchema = z
  .string()
  .max(65_536)
  .superRefine((text, context) => {
    const parsed = parseFrameList(text);
    if (!parsed.ok) context.addIssue({ code: "custom", message: parsed.error });
  })
  .meta({ description: "Frame list: `1-10`, `1-10:2` (or `1-10x2`), `1,5,9-12`", examples: ["1-250", "1-10:2,15"] });

/** Ids are positive integers, counted up by the registry. */
export const idSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

export const prioritySchema = z
  .int()
  .min(-1_000_000)
  .max(1_000_000)
  .meta({ description: "Higher goes first. Default 50." });

/** Instants on the wire: milliseconds since 1970, UTC. */
export const instantSchema = z.int().min(0);

/**
 * What may not stand in one line of text: control characters, those of Unicode's second block included (a terminal may take
 * U+009B for the start of an escape sequence), and the marks that reverse the order in which a text is shown.
 */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
// eslint-disable-next-line no-control-regex
const CONTROL_IN_TEXT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Text of a program made safe to show: line ends are LF, every other control character but the tab is taken out. */
export function plainText(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(CONTROL_IN_TEXT, "");
}

/** Text that programs and machines wrote: what is unsafe to show is taken out of it, never a reason to refuse it. */
export function machineTextSchema(max: number) {
  return z.string().max(max).transform(plainText);
}

/** One line of text for people: a name, a reason. No control characters, so it is safe in logs and headers. */
export function lineSchema(max: number) {
  return z
    .string()
    .max(max)
    .refine((text) => !CONTROL.test(text), "must not contain control characters");
}

/** A tag: what a worker offers and a task may demand. */
export const tagSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "must be lower-case letters, digits, '.', '_' or '-'");

/**
 * A relative path with forward slashes that stays inside its folder on every platform we run on: no empty, `.` or `..`
 * segment, no backslash, drive letter, control character, nor a name Windows reserves.
 */
export const relativePathSchema = z
  .string()
  .min(1)
  .max(512)
  .superRefine((path, context) => {
    const bad = whyUnsafePath(path);
    if (bad) context.addIssue({ code: "custom", message: bad });
  });

const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i;

/** The rule a relative path breaks, or undefined. */
export function whyUnsafePath(path: string): string | undefined {
  if (CONTROL.test(path)) return "must not contain control characters";
  if (/[\\:*?"<>|]/.test(path)) return 'must not contain \\ : * ? " < > |';
  for (const segment of path.split("/")) {
    if (segment === "") return "must be relative, with single '/' between names";
    if (segment === "." || segment === "..") return "must not contain '.' or '..' segments";
    if (RESERVED.test(segment)) return `must not use the reserved name '${segment}'`;
    if (/[. ]$/.test(segment)) return "must not have a name that ends in a dot or blank";
    if (new TextEncoder().encode(segment).length > 255) return "must not have a name longer than 255 bytes";
  }
  return undefined;
}

/** A single file name: a relative path without a slash. */
export const fileNameSchema = relativePathSchema
  .max(200)
  .refine((name) => !name.includes("/"), "must be a file name without '/'");
