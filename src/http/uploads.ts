/**
 * What uploads of all kinds have in common: the length and hash of a body, and files that come in
 * parts.
 */
import type { z } from "zod";
import { MAX_PARTS, assemble, listParts, storePart, type Assembled } from "../files/parts.ts";
import type { Upload } from "../files/store.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sha256Schema } from "../protocol/fields.ts";
import { assembleSchema, assetSchema, MAX_PUT_BYTES, PART_BYTES, partsSchema } from "../protocol/file.ts";
import type { HeaderDescription } from "../protocol/openapi.ts";
import { isCut, PIECES_HEADER } from "../protocol/piece-list.ts";
import { refuse, type ProblemCode, type Refusal } from "../protocol/problem.ts";

/** Header with the SHA-256 of a body. */
const HASH = "Tablao-SHA256";

export const HASH_HEADER: HeaderDescription = {
  name: HASH,
  description: "SHA-256 of this body, checked on arrival",
  pattern: "^[0-9a-f]{64}$",
  required: true,
};

export const LENGTH_HEADER: HeaderDescription = {
  name: "Content-Length",
  description: "Bytes of this body",
  required: true,
  pattern: "^[0-9]+$",
};

export const PIECES_OF_FILE: HeaderDescription = {
  name: PIECES_HEADER,
  description: "SHA-256 of the piece list of the parts: checked instead of `sha256`, without reading the file",
  pattern: "^[0-9a-f]{64}$",
};

/** Refusals of every upload. */
export const UPLOAD_PROBLEMS: readonly ProblemCode[] = ["invalid", "length_required", "too_large", "conflict"];

/** What a route answers that stores a file under its hash, or in its place. */
export const STORED_ANSWERS = {
  200: { description: "It was there", schema: assetSchema },
  201: { description: "Stored", schema: assetSchema },
} as const;

export const PARTS_ANSWERS = { 200: { description: "Parts that have arrived", schema: partsSchema } } as const;

/**
 * How many bytes a body of bytes has, by its Content-Length. Refusals: `length_required`,
 * `invalid_request`, `too_large` for more than `max`, `unsupported_media_type` for a body that
 * would have to be decoded.
 */
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

/**
 * The body of an upload with its length and hash. The hash is `sha256.value`, which `sha256.field`
 * of the request named; by default the hash header names it. Refusals: those of `readLength`, and
 * `invalid`.
 */
export function readUpload(
  request: Request,
  sha256?: { value: string; field: string },
): Result<Omit<Upload, "key">, Refusal> {
  const tooLarge = `One PUT takes ${MAX_PUT_BYTES} bytes at most; send larger files in parts of ${PART_BYTES} bytes.`;
  const size = readLength(request, MAX_PUT_BYTES, tooLarge);
  if (!size.ok) return size;
  const hash = sha256 ?? { value: request.headers.get(HASH) ?? "", field: HASH };
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

/** The parts of the file `target` that have arrived. */
export async function arrivedParts(bucket: R2Bucket, target: string): Promise<z.infer<typeof partsSchema>> {
  const parts = (await listParts(bucket, target, Date.now())).map(({ number, size, sha256 }) => ({
    number,
    size,
    sha256,
  }));
  return { parts, part_bytes: PART_BYTES };
}

/**
 * Store the request's body as part `n` of the file `target`. A part that comes again replaces the
 * earlier one.
 */
export async function receivePart(
  request: Request,
  bucket: R2Bucket,
  target: string,
  n: string,
): Promise<Result<null, Refusal>> {
  const number = /^[1-9]\d{0,4}$/.test(n) ? Number(n) : 0;
  if (number < 1 || number > MAX_PARTS)
    return refuse("invalid", `The part's number must be from 1 to ${MAX_PARTS}.`, "n");
  const upload = readUpload(request);
  if (!upload.ok) return upload;
  if (upload.value.size === 0) return refuse("invalid", "A part must not be empty.", "Content-Length");
  return await storePart(bucket, target, number, upload.value, Date.now());
}

/**
 * Put the parts of the file `target` together; `whole` is the size and hash that the whole file
 * must have.
 */
export async function assembleUpload(
  bucket: R2Bucket,
  target: string,
  whole: z.output<typeof assembleSchema> & { pieces?: string },
): Promise<Result<Assembled & { size: number; sha256: string }, Refusal>> {
  const assembled = await assemble(bucket, target, whole, Date.now);
  return assembled.ok ? ok({ size: whole.size, sha256: whole.sha256, ...assembled.value }) : err(assembled.error);
}

/** The name of the list of the parts, if the request has one. Refusal: `invalid`. */
export function readPieces(request: Request, { size }: { size: number }): Result<{ pieces?: string }, Refusal> {
  const text = request.headers.get(PIECES_HEADER);
  if (text === null) return ok({});
  if (!isCut(size)) return refuse("invalid", `${PIECES_HEADER} is for files of more than one part.`, PIECES_HEADER);
  const pieces = sha256Schema.safeParse(text);
  if (pieces.success) return ok({ pieces: pieces.data });
  return refuse("invalid", `${PIECES_HEADER} must be a SHA-256: 64 lower-case hexadecimal digits.`, PIECES_HEADER);
}
