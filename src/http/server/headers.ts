/**
 * Headers that every answer has. CORS headers are not among them: other sites' pages may not read
 * anything here.
 */
const FIXED: [string, string][] = [
  ["X-Content-Type-Options", "nosniff"],
  ["Referrer-Policy", "no-referrer"],
];

/**
 * For an answer that does not set it. Most answers change with the next request, and many are
 * private.
 */
const CACHE_CONTROL = "no-store";

/**
 * All headers of an answer in this format. To set them together takes less time than to set them
 * one after another.
 */
export function headersOf(contentType: string): Headers {
  return new Headers([...FIXED, ["Cache-Control", CACHE_CONTROL], ["Content-Type", contentType]]);
}

/** The answer with the headers that every answer has; for HEAD, without its body. */
export function withHeaders(request: Request, response: Response): Response {
  // A copy of a WebSocket's answer would lose the socket.
  if (response.status === 101) return response;
  if (request.method === "HEAD") {
    void response.body?.cancel();
    return complete(new Response(null, response));
  }
  try {
    return complete(response);
  } catch {
    // The headers of an answer that came from a stub or a binding are immutable.
    return complete(new Response(response.body, response));
  }
}

function complete(response: Response): Response {
  const { headers } = response;
  for (const [name, value] of FIXED) if (headers.get(name) !== value) headers.set(name, value);
  // Clients count ages by the manager's clock. Cloudflare sets this header itself; a local runtime does not.
  headers.set("Date", new Date().toUTCString());
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", CACHE_CONTROL);
  return response;
}
