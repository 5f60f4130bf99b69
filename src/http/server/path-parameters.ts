/**
 * Path parameters: what a text in the address stands for, and the refusal when it cannot stand for
 * that.
 */
import { z } from "zod";
import { invalidFields } from "../../platform/problem-response.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { fieldErrors } from "../../protocol/field-errors.ts";
import { fileNameSchema, sha256Schema } from "../../protocol/fields.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { idFrom } from "./request.ts";

export interface PathParameter<T> {
  /** What `/openapi.json` says of it. */
  schema: z.ZodType;
  /** The value of the URL-decoded text; a refusal where the text cannot be one. */
  read(text: string): Result<T, Refusal>;
}

/** 404 for something that does not exist, or whose name in the address cannot be one. */
export function noSuch(what: string): { ok: false; error: Refusal } {
  return refuse("not_found", `There is no such ${what}.`);
}

/** The id, or the attempt, of a `what`: a positive integer. Any other text is a 404. */
export function idOf(what: string): PathParameter<number> {
  return {
    schema: z.int().min(1),
    read: (text) => {
      const id = idFrom(text);
      return id === null ? noSuch(what) : ok(id);
    },
  };
}

/** A text that a regular expression or the handler checks. A text that does not match is a 404. */
export function textOf(what: string, pattern: RegExp): PathParameter<string> {
  return { schema: z.string(), read: (text) => (pattern.test(text) ? ok(text) : noSuch(what)) };
}

export const taskId = idOf("task");
export const workerId = idOf("worker");

/** A frame's number. Ten digits cover every number that a frame list can hold. */
export const frameNumber: PathParameter<number> = {
  schema: z.int(),
  read: (text) => (/^(0|-?[1-9]\d{0,9})$/.test(text) ? ok(Number(text)) : noSuch("frame")),
};

/**
 * The name of an asset. Its refusal is 422 and names the rule: a client computes this name, it does
 * not guess it.
 */
export const assetHash: PathParameter<string> = {
  schema: z.string().regex(/^[0-9a-f]{64}$/),
  read: (text) =>
    sha256Schema.safeParse(text).success
      ? ok(text)
      : refuse("invalid", "An asset's name is its SHA-256: 64 lower-case hexadecimal digits.", "sha256"),
};

/** The name of an output. Its refusal is 422 and names the rule that the name breaks. */
export const outputName: PathParameter<string> = {
  schema: z.string(),
  read: (text) => {
    const name = fileNameSchema.safeParse(text);
    return name.success ? ok(name.data) : err(invalidFields(fieldErrors(name.error.issues, ["name"])));
  },
};

/** The name of a stored file where a name that breaks a rule is a 404. */
export function storedName(what: string): PathParameter<string> {
  return {
    schema: z.string(),
    read: (text) => {
      const name = fileNameSchema.safeParse(text);
      return name.success ? ok(name.data) : noSuch(what);
    },
  };
}

/**
 * The number of a part, as text: `receivePart` checks it, after the right to upload has been
 * checked.
 */
export const partNumber: PathParameter<string> = { schema: z.int().min(1), read: ok };
