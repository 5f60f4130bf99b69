/** A stored object as an HTTP answer: whole, one range, only its headers, or 304. */
import { contentHeaders, etagOf, hasMatch, parseRange } from "../files/content.ts";
import { openFile } from "../files/open-file.ts";
import { problemResponse } from "../platform/problem-response.ts";
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
  content: Content,
  ctx: ExecutionContext,
): Promise<Response> {
  const etag = etagOf(content.sha256);
  const headers = new Headers({ ETag: etag, "Cache-Control": content.cacheControl, "Accept-Ranges": "bytes" });
  if (hasMatch(request.headers.get("If-None-Match"), etag)) return new Response(null, { status: 304, headers });

  const ifRange = request.headers.get("If-Range");
  const asked = ifRange === null || ifRange === etag ? request.headers.get("Range") : null;
  const range = request.method === "HEAD" ? null : parseRange(asked, content.size);
  if (range === "unsatisfiable") {
    return problemResponse(
      { code: "range_not_satisfiable", detail: `The file has ${content.size} bytes.` },
      { headers: { "Content-Range": `bytes */${content.size}` } },
    );
  }
  const { offset, length } = range ?? { offset: 0, length: content.size };
  for (const [name, value] of Object.entries(contentHeaders(content.name))) headers.set(name, value);
  headers.set("Content-Length", String(length));
  if (range) headers.set("Content-Range", `bytes ${offset}-${offset + length - 1}/${content.size}`);
  if (request.method === "HEAD") return new Response(null, { headers });

  const file = await openFile(bucket, content, range);
  if (!file) return problemResponse({ code: "not_found", detail: "The file is not there any more." });
  return new Response(ofLength(file, length, ctx), { status: range ? 206 : 200, headers });
}

/**
 * The same bytes with a length that the runtime knows: it then sends a Content-Length, by which a
 * client notices that the answer was cut short.
 */
export function ofLength(
  body: Pick<ReadableStream<Uint8Array>, "pipeTo">,
  length: number | bigint,
  ctx: ExecutionContext,
): ReadableStream {
  const fixed = new FixedLengthStream(length);
  // The pipe fails when the client closes the connection; there is then no answer to send.
  ctx.waitUntil(body.pipeTo(fixed.writable).catch(() => undefined));
  return fixed.readable;
}
