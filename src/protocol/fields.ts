/** Types of fields that several schemas share. */
import { z } from "zod";
import { textOf } from "./bounded.ts";
import { parseFrameList } from "./frame-list.ts";
import { CONTROL, MAX_PATH_CHARS, whyUnsafePath } from "./path-rules.ts";

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
export const framesSchema = textOf(65_536)
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

/** The same, without the characters that a text of several lines may have (`path-rules.ts`). */
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
  return textOf(max).transform(plainText);
}

/**
 * One line of text for people, at most `max` characters: a name, a reason. Refused with control
 * characters, so it is safe in logs and headers.
 */
export function lineSchema(max: number) {
  return textOf(max).refine((text) => !CONTROL.test(text), "must not contain control characters");
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
export const relativePathSchema = textOf(MAX_PATH_CHARS)
  .min(1)
  .superRefine((path, context) => {
    const bad = whyUnsafePath(path);
    if (bad) context.addIssue({ code: "custom", message: bad });
  });

/** A single file name: a relative path without a slash, at most 200 characters. */
export const fileNameSchema = relativePathSchema
  .max(200, { abort: true })
  .refine((name) => !name.includes("/"), "must be a file name without '/'");
