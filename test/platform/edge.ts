/**
 * What stands between a client and a Worker on a zone of Cloudflare, and answers in its place with an
 * HTML page: challenges of bot rules and firewalls with 403
 * (https://developers.cloudflare.com/cloudflare-challenges/), Access with 401, addresses that are
 * switched off with 404, rate limits with 429 (errors 1015 and 1027,
 * https://developers.cloudflare.com/support/troubleshooting/http-status-codes/), a data centre in
 * trouble with 503.
 */
import type { IncomingMessage } from "node:http";
import type { ForeignAnswer } from "../support/counting-proxy.ts";

/** What an edge calls itself in its answers. */
export const EDGE_SERVER = "cloudflare";

/** Statuses with which an edge answers. */
export type EdgeStatus = 401 | 403 | 404 | 429 | 503;

/**
 * Answers the first request of each kind with a page of this status; kinds are method and route, with
 * numbers and hashes left out. So everything that a client ever asks is answered by a stranger once.
 */
export function edge(status: EdgeStatus): (request: IncomingMessage) => ForeignAnswer | undefined {
  const kinds = new Set<string>();
  return ({ method = "", url = "", headers }) => {
    const path = url.replace(/\?.*/, "").replaceAll(/\/(?:\d+|[0-9a-f-]{32,64})(?=\/|$)/g, "/#");
    const kind = `${headers.upgrade ?? ""}${method} ${path}`;
    if (kinds.has(kind)) return undefined;
    kinds.add(kind);
    return pageOf(status);
  };
}

function pageOf(status: EdgeStatus): ForeignAnswer {
  const body = `<!DOCTYPE html><html lang="en-US"><head><title>Attention Required! | Cloudflare</title></head><body><h1>Error ${status}</h1><p>Cloudflare Ray ID: 0000000000000000</p></body></html>`;
  const headers = { "content-type": "text/html; charset=UTF-8", server: EDGE_SERVER, "cache-control": "no-store" };
  return { status, headers, body };
}
