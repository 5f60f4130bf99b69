/** A stored object as an HTTP answer: whole, one range, only its headers, or "you have it". */
import { contentHeaders, etagOf, hasMatch, parseRange } from "../files/content.ts";
import { openFile } from "../files/open-file.ts";
import { problemResponse } from "../platform/problem-response.ts";

export interface Content {
  key: string;
  size: number;
  sha256: string;
  /** The name a browser saves it under; its extension gives the type. */
  name: string;
  cacheControl: string;
}

/** Answer GET or HEAD for an object whose size and hash are known. */
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

/** The same bytes with a length that the runtime knows, so that it sends Content-Length and a client notices a cut. */
export function ofLength(
  body: Pick<ReadableStream<Uint8Array>, "pipeTo">,
  length: number | bigint,
  ctx: ExecutionContext,
): ReadableStream {
  const fixed = new FixedLengthStream(length);
  // A client that goes away ends the pipe with an error: nobody is left to tell.
  ctx.waitUntil(body.pipeTo(fixed.writable).catch(() => undefined));
  return fixed.readable;
}
