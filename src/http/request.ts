/** What a request says about itself, read one way everywhere. */

/**
 * The caller's address: `CF-Connecting-IP`, which Cloudflare sets and a client cannot. Without it (a local run that is not
 * behind Cloudflare) everybody is `127.0.0.1`. `X-Forwarded-For` is never read: anyone can write it.
 */
export function clientAddress(request: Request): string {
  return request.headers.get("CF-Connecting-IP") ?? "127.0.0.1";
}

/** True when the client asked for `Prefer: return=minimal` (RFC 7240). */
export function prefersMinimal(request: Request): boolean {
  return (request.headers.get("Prefer") ?? "")
    .split(",")
    .some((preference) => /^\s*return\s*=\s*"?minimal"?\s*(;.*)?$/i.test(preference));
}

const MAX_ID = Number.MAX_SAFE_INTEGER;

/** A positive integer from a path, or null: anything else names nothing, which is a 404. */
export function idFrom(text: string | undefined): number | null {
  if (text === undefined || !/^[1-9]\d{0,15}$/.test(text)) return null;
  const id = Number(text);
  return id <= MAX_ID ? id : null;
}
