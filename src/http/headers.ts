/** Headers that every answer has. No CORS headers: other sites' pages have no business here. */
const FIXED: [string, string][] = [
  ["X-Content-Type-Options", "nosniff"],
  ["Referrer-Policy", "no-referrer"],
];

/** Of an answer that says nothing else about it. */
const CACHE_CONTROL = "no-store";

/** Headers of an answer in this format, complete: to set them all at once takes less time than one after another. */
export function headersOf(contentType: string): Headers {
  return new Headers([...FIXED, ["Cache-Control", CACHE_CONTROL], ["Content-Type", contentType]]);
}

/** The answer with the headers that every answer has, and without a body to HEAD. */
export function withHeaders(request: Request, response: Response): Response {
  // A WebSocket's answer goes through untouched, or the socket is lost.
  if (response.status === 101) return response;
  if (request.method === "HEAD") {
    void response.body?.cancel();
    return complete(new Response(null, response));
  }
  try {
    return complete(response);
  } catch {
    // The headers of an answer that came over a stub cannot be changed.
    return complete(new Response(response.body, response));
  }
}

function complete(response: Response): Response {
  const { headers } = response;
  for (const [name, value] of FIXED) if (headers.get(name) !== value) headers.set(name, value);
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", CACHE_CONTROL);
  return response;
}
