/** Types of fields that several schemas share. */
import { z } from "zod";
import { parseFrameList } from "./frame-list.ts";

/**
 * A SHA-256 in lower-case hexadecimal. Names of stored objects have it in this form, so upper case
 * would name another object.
 */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hexadecimal digits");

/**
 * A CRC-32 (the one of zip and gzip) in lower-case hexadecimal. The manager does not verify it: a
 * zip tool does, when it unpacks the file.
 */
export const crc32Schema = z.string().regex(/^[0-9a-f]{8}$/, "must be 8 lower-case hexadecimal digits");

/**
 * A frame list in the grammar of `frame-list.ts`. Its limit of characters is above that of the
 * parser.
 */
export const framesSchema = z
  .string()
  .max(65_536)
  .superRefine((text, context) => {
    const parsed = parseFrameList(text);
    if (!parsed.ok) context.addIssue({ code: "custom", message: parsed.error });
  })
  .meta({ description: "Frame list: `1-10`, `1-10:2` (or `1-10x2`), `1,5,9-12`", examples: ["1-250", "1-10:2,15"] });

/** Ids of tasks, workers, tokens and webhooks: positive integers, counted up by the registry. */
export const idSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

/** The priority of a task; dispatch takes the task with the highest. */
export const prioritySchema = z
  .int()
  .min(-1_000_000)
  .max(1_000_000)
  .meta({ description: "Higher goes first. Default 50." });

/** Instants on the wire: milliseconds since 1970, UTC. */
export const instantSchema = z.int().min(0);

/**
 * Characters that a line of text may not have: control characters, and the marks that reverse the
 * order in which a text is shown. Unicode's second block of control characters is included, because
 * a terminal may take U+009B for the start of an escape sequence.
 */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
// eslint-disable-next-line no-control-regex
const CONTROL_IN_TEXT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text of a program, made safe to show: line ends become LF, and all other control characters but
 * the tab are removed.
 */
export function plainText(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(CONTROL_IN_TEXT, "");
}

/**
 * Text that programs and machines wrote, at most `max` characters. Characters that are unsafe to
 * show are removed; they are never a reason to refuse the text.
 */
export function machineTextSchema(max: number) {
  return z.string().max(max).transform(plainText);
}

/**
 * One line of text for people, at most `max` characters: a name, a reason. Refused with control
 * characters, so it is safe in logs and headers.
 */
export function lineSchema(max: number) {
  return z
    .string()
    .max(max)
    .refine((text) => !CONTROL.test(text), "must not contain control characters");
}

/**
 * A tag: a worker offers it, and a task may demand it. Lower case only, so that `GPU` and `gpu` are
 * not two tags.
 */
export const tagSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "must be lower-case letters, digits, '.', '_' or '-'");

/**
 * A relative path with forward slashes that stays inside its folder on every platform we run on. It
 * has no empty, `.` or `..` segment, no backslash, drive letter or control character, and no name
 * that Windows reserves.
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

/**
 * The rule that a relative path breaks, as a phrase ("must not contain …"); undefined when it
 * breaks none.
 */
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

/** A single file name: a relative path without a slash, at most 200 characters. */
export const fileNameSchema = relativePathSchema
  .max(200)
  .refine((name) => !name.includes("/"), "must be a file name without '/'");
