/** The page's one cookie. HttpOnly: no script reads it. SameSite=Strict: no other site's page sends it along. Pure. */

/**
 * Its name. Where the manager is reached by https, browsers hold the `__Host-` prefix to its promise: this very host, this
 * path, secure. On a plain http address (a local run) they would refuse that.
 */
export function cookieName(url: URL): string {
  return url.protocol === "https:" ? "__Host-tablao" : "tablao";
}

/** Set it, or delete it with an empty value and an age of 0. */
export function setCookie(url: URL, value: string, maxAgeS: number): string {
  const secure = url.protocol === "https:" ? "; Secure" : "";
  return `${cookieName(url)}=${value}; Max-Age=${maxAgeS}; Path=/; HttpOnly; SameSite=Strict${secure}`;
}

/** The session text a request carries, or null. */
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
 * Whether a request that acts by a cookie comes from our own page: it must say so where it changes anything or opens a socket.
 * Browsers send `Origin` with each of those; a request that merely looks needs none.
 */
export function isOurPage(request: Request): boolean {
  const upgrade = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
  if ((request.method === "GET" || request.method === "HEAD") && !upgrade) return true;
  return request.headers.get("Origin") === new URL(request.url).origin;
}
