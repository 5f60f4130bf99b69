/** What a request's headers and address say, read in one way by all routes. */
import { INSTANCE_HEADER, INSTANCE_TEXT } from "../../protocol/worker.ts";

/**
 * The caller's address: `CF-Connecting-IP`, which Cloudflare overwrites. Without that header (a
 * local run that is not behind Cloudflare) every caller is `127.0.0.1`. `X-Forwarded-For` is never
 * read: any client can write it.
 */
export function clientAddress(request: Request): string {
  return request.headers.get("CF-Connecting-IP") ?? "127.0.0.1";
}

/** The process of the agent that calls (INSTANCE_HEADER); null when it does not say. */
export function instanceOf(request: Request): string | null {
  const text = request.headers.get(INSTANCE_HEADER);
  return text !== null && INSTANCE_TEXT.test(text) ? text : null;
}

/** True when the client asked for `Prefer: return=minimal` (RFC 7240). */
export function prefersMinimal(request: Request): boolean {
  return (request.headers.get("Prefer") ?? "")
    .split(",")
    .some((preference) => /^\s*return\s*=\s*"?minimal"?\s*(;.*)?$/i.test(preference));
}

const MAX_ID = Number.MAX_SAFE_INTEGER;

/** The positive integer that a text of a path spells, or null. */
export function idFrom(text: string | undefined): number | null {
  if (text === undefined || !/^[1-9]\d{0,15}$/.test(text)) return null;
  const id = Number(text);
  return id <= MAX_ID ? id : null;
}
