/** What uploads of all kinds have in common: how many bytes come, and which. */
import { MAX_PARTS, assemble, listParts, storePart } from "../files/parts.ts";
import type { Upload } from "../files/store.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sha256Schema } from "../protocol/fields.ts";
import { assembleSchema, MAX_PUT_BYTES, PART_BYTES, type partsSchema } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { z } from "zod";
import { json, noContent } from "./answers.ts";
import { drain } from "./drain.ts";
import { readBody } from "./input.ts";
import { problemResponse } from "../platform/problem-response.ts";

/** Header with the SHA-256 of a body. */
export const HASH_HEADER = "Tablao-SHA256";

/** How many bytes a body of bytes has, as the client says: `max` at most, and nothing that would have to be decoded. */
export function readLength(request: Request, max: number, tooLarge: string): Result<number, Refusal> {
  const length = request.headers.get("Content-Length");
  if (length === null)
    return refuse(
      "length_required",
      "Send a Content-Length: the storage must know how many bytes come.",
      "Content-Length",
    );
  if (!/^\d{1,15}$/.test(length))
    return refuse("invalid_request", "Content-Length is not a number of bytes.", "Content-Length");
  if (Number(length) > max) return refuse("too_large", tooLarge, "Content-Length");
  const encoding = request.headers.get("Content-Encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    return refuse(
      "unsupported_media_type",
      "Files are stored as they come; send them without a Content-Encoding.",
      "Content-Encoding",
    );
  }
  return ok(Number(length));
}

/** The bytes of a body: Content-Length, and their hash as `sha256` has it, or as the header says where that is undefined. */
export function readUpload(
  request: Request,
  sha256?: { value: string; field: string },
): Result<Omit<Upload, "key">, Refusal> {
  const tooLarge = `One PUT takes ${MAX_PUT_BYTES} bytes at most; send larger files in parts of ${PART_BYTES} bytes.`;
  const size = readLength(request, MAX_PUT_BYTES, tooLarge);
  if (!size.ok) return size;
  const hash = sha256 ?? { value: request.headers.get(HASH_HEADER) ?? "", field: HASH_HEADER };
  const valid = sha256Schema.safeParse(hash.value);
  if (!valid.success)
    return refuse(
      "invalid",
      `${hash.field} must be the SHA-256 of the bytes, as 64 lower-case hexadecimal digits.`,
      hash.field,
    );
  return ok({
    body: request.body as ReadableStream<Uint8Array> | null,
    size: size.value,
    sha256: hash.value,
    hashField: hash.field,
  });
}

/** A refusal before the body was read: it is read, so that the client sees the answer. */
export async function refuseUpload(request: Request, refusal: Refusal): Promise<Response> {
  await drain(request);
  return problemResponse(refusal);
}

/** GET …/parts: what has arrived of `target`. */
export async function answerParts(bucket: R2Bucket, target: string): Promise<Response> {
  const parts = (await listParts(bucket, target, Date.now())).map(({ number, size, sha256 }) => ({
    number,
    size,
    sha256,
  }));
  return json({ parts, part_bytes: PART_BYTES } satisfies z.infer<typeof partsSchema>);
}

/** PUT …/parts/{n}: one part of `target`; a part that comes again replaces itself. */
export async function takePart(
  request: Request,
  bucket: R2Bucket,
  target: string,
  n: string | undefined,
): Promise<Response> {
  const number = /^[1-9]\d{0,4}$/.test(n ?? "") ? Number(n) : 0;
  if (number < 1 || number > MAX_PARTS) {
    return await refuseUpload(
      request,
      refuse("invalid", `The part's number must be from 1 to ${MAX_PARTS}.`, "n").error,
    );
  }
  const upload = readUpload(request);
  if (!upload.ok) return await refuseUpload(request, upload.error);
  if (upload.value.size === 0)
    return problemResponse(refuse("invalid", "A part must not be empty.", "Content-Length").error);
  const stored = await storePart(bucket, target, number, upload.value, Date.now());
  return stored.ok ? noContent() : await refuseUpload(request, stored.error);
}

/** POST …/assemble: put `target` together. `sha256`: what the whole must have where the path says it. */
export async function assembleUpload(
  request: Request,
  bucket: R2Bucket,
  target: string,
  sha256?: string,
): Promise<Result<{ created: boolean; size: number; sha256: string }, Refusal>> {
  const whole = await readBody(request, assembleSchema);
  if (!whole.ok) return whole;
  if (sha256 !== undefined && whole.value.sha256 !== sha256)
    return refuse("invalid", "sha256 must be the one in the path.", "sha256");
  const assembled = await assemble(bucket, target, whole.value, Date.now);
  return assembled.ok ? ok({ ...whole.value, created: assembled.value.created }) : err(assembled.error);
}
