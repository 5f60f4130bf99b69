/**
 * The page's one cookie. HttpOnly: no script reads it. SameSite=Strict: browsers send it from our
 * own pages only. Pure.
 */

/**
 * The cookie's name. Over https it has the `__Host-` prefix: browsers then accept the cookie from
 * this very host only, with this path and Secure. Over plain http (a local run) browsers refuse a
 * cookie with that prefix.
 */
function cookieName(url: URL): string {
  return url.protocol === "https:" ? "__Host-tablao" : "tablao";
}

/** The `Set-Cookie` header. An empty value with an age of 0 deletes the cookie. */
export function setCookie(url: URL, value: string, maxAgeS: number): string {
  const secure = url.protocol === "https:" ? "; Secure" : "";
  return `${cookieName(url)}=${value}; Max-Age=${maxAgeS}; Path=/; HttpOnly; SameSite=Strict${secure}`;
}

/** The session that a request carries, or null. */
export function cookieOf(request: Request): string | null {
  const header = request.headers.get("Cookie");
  if (header === null) return null;
  const name = cookieName(new URL(request.url));
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim() || null;
  }
  return null;
}

/**
 * Whether a request with a cookie may have come from our own page. A request that changes something
 * or opens a socket must name our origin: browsers send `Origin` with each of those. A request that
 * only reads needs none.
 */
export function isOurPage(request: Request): boolean {
  const upgrade = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
  if ((request.method === "GET" || request.method === "HEAD") && !upgrade) return true;
  return request.headers.get("Origin") === new URL(request.url).origin;
}
