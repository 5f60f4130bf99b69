/** WebSocket upgrades: checked here, then handed to the object that holds the socket. */
import { problemResponse } from "../platform/problem-response.ts";

/** Why this is no upgrade that may pass; null when it is one. */
export function refuseUpgrade(request: Request, url: URL): Response | null {
  if (request.headers.get("Upgrade")?.toLowerCase() !== "websocket") {
    const detail = "This is a WebSocket: connect with `Upgrade: websocket`.";
    return problemResponse(
      { code: "upgrade_required", detail },
      { headers: { Upgrade: "websocket", Connection: "Upgrade" } },
    );
  }
  // A browser names the page that opens a socket, and no page but our own has business here.
  const origin = request.headers.get("Origin");
  if (origin !== null && origin !== url.origin)
    return problemResponse({ code: "forbidden", detail: "Sockets are not open to other sites." });
  return null;
}

/** The headers of an upgrade; nothing else of the caller's is passed on. */
const HANDSHAKE = /^(upgrade|connection|sec-websocket-.*)$/;

/**
 * The upgrade as the object gets it: the handshake, and one header that only we write. The object believes such headers, so
 * none of the caller's own may come along, whatever its name: a worker could name itself a viewer of the farm.
 */
export function forwarded(request: Request, header: string, value: string): Request {
  const headers = new Headers();
  for (const [name, text] of request.headers) if (HANDSHAKE.test(name.toLowerCase())) headers.append(name, text);
  headers.set(header, value);
  return new Request(request.url, { method: "GET", headers });
}
