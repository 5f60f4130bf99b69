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

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

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
