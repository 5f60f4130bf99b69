/** WebSocket upgrades: checked here, then forwarded to the Durable Object that holds the socket. */
import { problemResponse } from "../../platform/problem-response.ts";

/**
 * The refusal of a request that is no upgrade (426), or comes from another site's page (403); null
 * for any other.
 */
export function refuseUpgrade(request: Request, url: URL): Response | null {
  if (request.headers.get("Upgrade")?.toLowerCase() !== "websocket") {
    const detail = "This is a WebSocket: connect with `Upgrade: websocket`.";
    return problemResponse(
      { code: "upgrade_required", detail },
      { headers: { Upgrade: "websocket", Connection: "Upgrade" } },
    );
  }
  // A browser names the origin of the page that opens a socket. Only our own page may open one.
  const origin = request.headers.get("Origin");
  if (origin !== null && origin !== url.origin)
    return problemResponse({ code: "forbidden", detail: "Sockets are not open to other sites." });
  return null;
}

/** The headers of an upgrade. No other header of the caller is forwarded. */
const HANDSHAKE = /^(upgrade|connection|sec-websocket-.*)$/;

/**
 * The upgrade as the object gets it: the handshake, and headers that only this function sets.
 * The object trusts such headers. If the caller's own headers were forwarded, a worker could
 * declare itself a viewer of the farm.
 */
export function forwarded(request: Request, own: Record<string, string>): Request {
  const headers = new Headers();
  for (const [name, text] of request.headers) if (HANDSHAKE.test(name.toLowerCase())) headers.append(name, text);
  for (const [name, text] of Object.entries(own)) headers.set(name, text);
  return new Request(request.url, { method: "GET", headers });
}
