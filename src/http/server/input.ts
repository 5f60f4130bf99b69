/**
 * Bodies and queries: read within a limit, decoded strictly, validated by the route's schema.
 * Refusals say what to send.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import { MAX_BODY_BYTES } from "../../protocol/constants.ts";
import { fieldErrors } from "../../protocol/field-errors.ts";
import type { FieldError, Refusal } from "../../protocol/problem.ts";
import { readTextWithin } from "./body.ts";
import { invalidFields } from "../../platform/problem-response.ts";

const EXPECTED = "Send a JSON object (Content-Type: application/json) or a form (application/x-www-form-urlencoded).";

/** The value that a form's text for a field stands for. */
type Coerce = (field: string, text: string) => unknown;

/**
 * Read and validate a body. Refusals: `invalid_request` (unreadable), `too_large`,
 * `unsupported_media_type`, `invalid` with every offending field. `coerce` replaces the rule by
 * which a form's texts become values, where the schema alone does not tell; `maxBytes` bounds the body.
 */
export async function readBody<T>(
  request: Request,
  schema: z.ZodType<T>,
  coerce: Coerce = coerceBy(schema),
  maxBytes = MAX_BODY_BYTES,
): Promise<Result<T, Refusal>> {
  const encoding = request.headers.get("Content-Encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    return err({
      code: "unsupported_media_type",
      detail: `Content-Encoding ${shown(encoding)} is not understood; send the body as it is.`,
    });
  }
  const text = await readTextWithin(request, maxBytes);
  return text.ok ? parseBody(request.headers.get("Content-Type"), text.value, schema, coerce) : text;
}

/**
 * Decode and validate the text of a body. A bad one costs at most three times the `JSON.parse` of
 * it, whatever it holds. Refusals: those of `readBody`.
 */
export function parseBody<T>(
  contentType: string | null,
  text: string,
  schema: z.ZodType<T>,
  coerce: Coerce = coerceBy(schema),
): Result<T, Refusal> {
  if (text.trim() === "") return err({ code: "invalid_request", detail: `The body is empty. ${EXPECTED}` });
  const decoded = decode(contentType, text, coerce);
  return decoded.ok ? validate(schema, decoded.value) : decoded;
}

function validate<T>(schema: z.ZodType<T>, value: unknown): Result<T, Refusal> {
  const parsed = schema.safeParse(value, { error: shortMessage });
  return parsed.success ? ok(parsed.data) : err(invalidFields(fieldErrors(parsed.error.issues)));
}

/** zod's own message about unknown keys lists all of them; `fieldErrors` writes one for each of the first. */
function shortMessage(issue: { code?: string | undefined }): string | undefined {
  return issue.code === "unrecognized_keys" ? "has unknown fields" : undefined;
}

function decode(contentType: string | null, text: string, coerce: Coerce): Result<unknown, Refusal> {
  if (contentType === "application/json") return decodeJson(text);
  const [type = "", ...parameters] = (contentType ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters
    .find((parameter) => parameter.startsWith("charset="))
    ?.slice("charset=".length)
    .replaceAll('"', "");
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8" && charset !== "us-ascii") {
    return err({
      code: "unsupported_media_type",
      detail: `The charset ${shown(charset)} is not understood; send UTF-8.`,
    });
  }
  if (type === "application/x-www-form-urlencoded") return decodeForm(text, coerce);
  if (/^application\/([a-z0-9!#$&^_.-]+\+)?json$/.test(type)) return decodeJson(text);
  const said = type === "" ? "There is no Content-Type." : `Content-Type ${shown(type)} is not understood.`;
  return err({ code: "unsupported_media_type", detail: `${said} ${EXPECTED}` });
}

function decodeJson(text: string): Result<unknown, Refusal> {
  try {
    return ok(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : "";
    const at = /position (\d+)/.exec(reason)?.[1];
    return err({
      code: "invalid_request",
      detail: `The body is not valid JSON${at === undefined ? "" : `, at character ${at}`}.`,
    });
  }
}

function decodeForm(text: string, coerce: Coerce): Result<unknown, Refusal> {
  if (/^\s*[{[]/.test(text)) {
    return err({
      code: "invalid_request",
      detail: "The body looks like JSON but was sent as a form: set Content-Type: application/json.",
    });
  }
  const fields = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (fields.has(key))
      return err({ code: "invalid_request", detail: `The form has the field ${shown(key)} more than once.` });
    fields.set(key, value);
  }
  return ok(coerceFields(fields, coerce));
}

/** Validate a query string. Unknown and repeated parameters are refused by name (`invalid`). */
export function readQuery<T>(url: URL, schema: z.ZodType<T>): Result<T, Refusal> {
  const fields = new Map<string, string>();
  const repeated = new Set<string>();
  for (const [key, value] of url.searchParams) {
    if (fields.has(key)) repeated.add(key);
    fields.set(key, value);
  }
  if (repeated.size > 0) {
    return err(
      invalidFields([...repeated].slice(0, 50).map((field): FieldError => ({ field, message: "must be given once" }))),
    );
  }
  return validate(schema, coerceFields(fields, coerceBy(schema)));
}

/**
 * The rule for forms and queries, which carry text only: a field keeps its text where its schema
 * takes text (`hostname=123` stays a name). Otherwise it becomes the number, boolean or JSON value
 * that it spells, if the schema takes that (`priority=10`).
 */
function coerceBy(schema: z.ZodType): Coerce {
  return (field, text) => coerceField(fieldSchema(schema, field), text);
}

function coerceFields(fields: ReadonlyMap<string, string>, coerce: Coerce): Record<string, unknown> {
  // fromEntries defines own properties: a field called __proto__ is then only an unknown field.
  return Object.fromEntries([...fields].map(([field, text]) => [field, coerce(field, text)]));
}

function fieldSchema(schema: z.ZodType, key: string): z.ZodType | undefined {
  if (schema instanceof z.ZodObject) {
    const shape = schema.shape as Record<string, z.ZodType>;
    return Object.hasOwn(shape, key) ? shape[key] : undefined;
  }
  return schema instanceof z.ZodRecord ? (schema.valueType as z.ZodType) : undefined;
}

function coerceField(schema: z.ZodType | undefined, text: string): unknown {
  if (schema === undefined || schema.safeParse(text).success) return text;
  const spelled = spelledValue(text);
  if (spelled === undefined) return text;
  const parsed = schema.safeParse(spelled);
  // A number out of bounds stays a number: then the message is about the bound and not about the
  // type.
  return parsed.success || parsed.error.issues.some((issue) => issue.code !== "invalid_type" || issue.path.length > 0)
    ? spelled
    : text;
}

/**
 * The number, boolean, null, object or array that a text spells in JSON; undefined for anything
 * else. "" is not 0.
 */
export function spelledValue(text: string): unknown {
  if (!/^(-?\d\S*$|\s*[[{]|true$|false$|null$)/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A client's text as a message shows it: shortened, and quoted so that it cannot break a line. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}
