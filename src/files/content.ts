/** Headers of a download: content type, file name, entity tag, range. Pure. */

/**
 * Types that a browser may show. Everything else is sent as a file to save, so that no upload runs
 * as a page or a script.
 */
const SHOWN: Record<string, string> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  mp4: "video/mp4",
  webm: "video/webm",
  txt: "text/plain; charset=utf-8",
};

/** Known types that browsers cannot show. */
const SAVED: Record<string, string> = {
  exr: "image/x-exr",
  tif: "image/tiff",
  tiff: "image/tiff",
  mov: "video/quicktime",
  mkv: "video/x-matroska",
  zip: "application/zip",
};

/**
 * Headers for content that was uploaded. The type follows from the extension of the name, and the
 * browser must not guess another. Content is shown only when its type is harmless; all other
 * content is in a sandbox without an origin.
 */
export function contentHeaders(name: string): Record<string, string> {
  const extension = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  const shown = Object.hasOwn(SHOWN, extension) ? SHOWN[extension] : undefined;
  const saved = Object.hasOwn(SAVED, extension) ? SAVED[extension] : undefined;
  return {
    "Content-Type": shown ?? saved ?? "application/octet-stream",
    "Content-Disposition": disposition(shown === undefined ? "attachment" : "inline", name),
    "X-Content-Type-Options": "nosniff",
    ...(shown === undefined ? { "Content-Security-Policy": "default-src 'none'; sandbox" } : {}),
  };
}

/**
 * A Content-Disposition with the name in ASCII, and in the encoding of RFC 8187 where ASCII loses
 * something.
 */
export function disposition(kind: "inline" | "attachment", name: string): string {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const simple = `${kind}; filename="${ascii}"`;
  if (ascii === name) return simple;
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*!]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${simple}; filename*=UTF-8''${encoded}`;
}

/** The strong entity tag of content with this hash, or `contentTag`. */
export function etagOf(tag: string): string {
  return `"${tag}"`;
}

/** Whether If-None-Match names this tag, which means that the client has these bytes. */
export function hasMatch(ifNoneMatch: string | null, etag: string): boolean {
  if (ifNoneMatch === null) return false;
  return ifNoneMatch.split(",").some((item) => item.trim() === "*" || item.trim().replace(/^W\//, "") === etag);
}

export interface ByteRange {
  offset: number;
  length: number;
}

/**
 * The range that a Range header asks for. Null for the whole content: no header, or one that a
 * server may ignore (another unit, several ranges, unreadable). "unsatisfiable" when the range
 * begins after the end.
 */
export function parseRange(header: string | null, size: number): ByteRange | "unsatisfiable" | null {
  const match = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return null;
  if (match[1] === "") {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? "unsatisfiable" : { offset: size - length, length };
  }
  const first = Number(match[1]);
  const last = match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== "" && Number(match[2]) < first) return null;
  return first >= size ? "unsatisfiable" : { offset: first, length: last - first + 1 };
}
