/** Stored bytes as an HTTP answer: whole, one range, only their headers, or 304. */
import { contentHeaders, etagOf, hasMatch, parseRange, type ByteRange } from "../files/content.ts";
import { piecesIn } from "../files/manifest.ts";
import { openFile, openObject } from "../files/open-file.ts";
import { hashOf, sizeOf } from "../files/store.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { contentTag } from "../protocol/piece-list.ts";
import type { HeaderDescription } from "../protocol/openapi.ts";

/** Media type of bytes whose type the route does not know. */
const BYTES = "application/octet-stream";

export const RANGE_HEADER: HeaderDescription = { name: "Range", description: "One range of bytes" };

/** What a route answers that ends in `answerContent`. */
export const CONTENT_ANSWERS = {
  200: { description: "The bytes", media: BYTES },
  206: { description: "The range", media: BYTES },
  304: { description: "Unchanged" },
} as const;

export interface Content {
  key: string;
  /** In bytes. */
  size: number;
  sha256: string;
  /** As in `StoredFile`. */
  pieces?: string | undefined;
  /** The name a browser saves it under; its extension gives the media type. */
  name: string;
  cacheControl: string;
}

/**
 * Answer GET or HEAD for an object whose size and hash are known. Refusals: `not_found`,
 * `range_not_satisfiable`.
 */
export async function answerContent(
  request: Request,
  bucket: R2Bucket,
  { name, cacheControl, ...file }: Content,
  ctx: ExecutionContext,
): Promise<Response> {
  const open = (range: ByteRange | null): Promise<Pipeable | null> => openFile(bucket, file, range);
  const headers = contentHeaders(name);
  const etag = etagOf(contentTag(file));
  return await answerRange(request, { size: file.size, etag, cacheControl, headers, open }, ctx);
}

/**
 * Answer GET or HEAD for an object of which only the key is known; its metadata says size and hash.
 * A whole file is one read of R2, or that and one for each part. A range needs one read more: before
 * its bytes are asked for, the size must be known. Null when there is no such object, or one with
 * another hash than `sha256`. Refusal: `range_not_satisfiable`.
 */
export async function answerObject(
  request: Request,
  bucket: R2Bucket,
  { key, name, cacheControl, sha256 }: Pick<Content, "key" | "name" | "cacheControl"> & { sha256?: string },
  ctx: ExecutionContext,
): Promise<Response | null> {
  const { method, headers: asked } = request;
  const whole = method === "GET" && !asked.has("Range") && !asked.has("If-None-Match");
  const read = whole ? await bucket.get(key) : null;
  const object = whole ? read : await bucket.head(key);
  if (!object || (sha256 !== undefined && hashOf(object) !== sha256)) {
    await read?.body.cancel();
    return null;
  }
  const file = { key, size: sizeOf(object), sha256: hashOf(object), pieces: piecesIn(object) };
  const content = { ...file, name, cacheControl };
  if (!read) return await answerContent(request, bucket, content, ctx);
  const open = (): Promise<Pipeable> => openObject(bucket, read, null);
  const { size } = content;
  return await answerRange(
    request,
    { size, etag: etagOf(contentTag(file)), cacheControl, headers: contentHeaders(name), open },
    ctx,
  );
}

/** Bytes that can be piped once. `pipeTo` closes its target. */
type Pipeable = Pick<ReadableStream<Uint8Array>, "pipeTo">;

/** Bytes of which any range can be read. */
export interface Rangeable {
  /** In bytes. */
  size: number;
  /** Strong: the same tag means the same bytes. */
  etag: string;
  cacheControl: string;
  /** The type and name of the body. */
  headers: Record<string, string>;
  /** The bytes of the range, or all; null when they are not there any more. */
  open(range: ByteRange | null): Promise<Pipeable | null>;
}

/**
 * Answer GET or HEAD: whole, one range, only the headers, or 304. Refusals: `not_found`,
 * `range_not_satisfiable`.
 */
export async function answerRange(request: Request, content: Rangeable, ctx: ExecutionContext): Promise<Response> {
  const { size, etag, cacheControl } = content;
  const headers = new Headers({ ETag: etag, "Cache-Control": cacheControl, "Accept-Ranges": "bytes" });
  if (hasMatch(request.headers.get("If-None-Match"), etag)) return new Response(null, { status: 304, headers });

  const ifRange = request.headers.get("If-Range");
  const asked = ifRange === null || ifRange === etag ? request.headers.get("Range") : null;
  const range = request.method === "HEAD" ? null : parseRange(asked, size);
  if (range === "unsatisfiable") {
    return problemResponse(
      { code: "range_not_satisfiable", detail: `There are ${size} bytes.` },
      { headers: { "Content-Range": `bytes */${size}` } },
    );
  }
  const { offset, length } = range ?? { offset: 0, length: size };
  for (const [name, value] of Object.entries(content.headers)) headers.set(name, value);
  headers.set("Content-Length", String(length));
  if (range) headers.set("Content-Range", `bytes ${offset}-${offset + length - 1}/${size}`);
  if (request.method === "HEAD") return new Response(null, { headers });

  const bytes = await content.open(range);
  if (!bytes) return problemResponse({ code: "not_found", detail: "The file is not there any more." });
  return new Response(ofLength(bytes, length, ctx), { status: range ? 206 : 200, headers });
}

/**
 * The same bytes with a length that the runtime knows: it then sends a Content-Length, by which a
 * client notices that the answer was cut short.
 */
function ofLength(body: Pipeable, length: number, ctx: ExecutionContext): ReadableStream {
  const fixed = new FixedLengthStream(length);
  // The pipe fails when the client closes the connection; there is then no answer to send.
  ctx.waitUntil(body.pipeTo(fixed.writable).catch(() => undefined));
  return fixed.readable;
}
