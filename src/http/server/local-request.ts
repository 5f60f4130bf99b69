/**
 * Requests of a manager that has no Cloudflare in front of it (`npm start`). There a client may
 * write any header, also those that Cloudflare sets or overwrites. Pure.
 */

/**
 * Headers by which a proxy tells what it knows of a request. On Cloudflare `CF-…` come from the
 * platform. `MF-…` are Miniflare's own: with them its development server takes another address, or
 * another Worker. The manager reads none of the others; they go, so that nothing ever relies on them.
 */
const FOREIGN = /^(cf|mf|x-forwarded)-|^(forwarded|x-real-ip|true-client-ip|cdn-loop)$/;

/**
 * A request without what a client may not say of itself. `CF-Connecting-IP` is the address of the
 * connection: `peer` is `address:port` as the runtime gives it, with IPv6 in brackets. The header
 * `gate`, which opened the door, goes too.
 */
export function asReceived(request: Request, peer: string | undefined, gate: string): Request {
  const headers = new Headers(request.headers);
  for (const name of request.headers.keys()) if (FOREIGN.test(name)) headers.delete(name);
  headers.delete(gate);
  const address = addressOf(peer);
  if (address !== undefined) headers.set("CF-Connecting-IP", address);
  return new Request(request, { headers });
}

function addressOf(peer: string | undefined): string | undefined {
  const match = peer === undefined ? null : /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([0-9.]+)):\d+$/.exec(peer);
  // A socket for IPv6 and IPv4 gives addresses of the latter in this form.
  return (match?.[1] ?? match?.[2])?.replace(/^::ffff:(?=\d+\.)/i, "");
}
