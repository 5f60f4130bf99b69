/**
 * Receives the manager's webhooks and verifies their signatures: Node 20 or newer, no dependency.
 *
 *   TABLAO_WEBHOOK_SECRET=... node examples/webhook-receiver.mjs 8080
 *
 * Create the webhook on the page (Manage, Webhooks) or by `POST /webhooks`; the answer holds the secret, once. A webhook's
 * address must be https, or http on the manager's own machine.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

/** A request that was recorded and sent again later is refused. The manager signs each try anew. */
const MAX_AGE_S = 300;
/** Deliveries are small; a larger body is not from the manager. */
const MAX_BODY_CHARS = 1_000_000;

/**
 * Whether `header`, the value of `Tablao-Signature`, signs this body: `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`.
 * `body` is the raw text of the request: JSON that was parsed and written again is another text.
 *
 * @param {string} secret
 * @param {string} header
 * @param {string} body
 * @param {number} [nowS] unix seconds
 * @returns {boolean}
 */
export function isSigned(secret, header, body, nowS = Date.now() / 1_000) {
  const match = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(header);
  if (!match) return false;
  const [, t, signature] = match;
  if (Math.abs(nowS - Number(t)) > MAX_AGE_S) return false;
  const expected = createHmac("sha256", secret).update(`${t}.${body}`).digest();
  // In constant time: the time of an ordinary comparison tells how many leading bytes are right.
  return timingSafeEqual(expected, Buffer.from(/** @type {string} */ (signature), "hex"));
}

/**
 * A server that answers 204 to each signed delivery and calls `handle` once for it. The manager delivers at least once: when
 * an answer is lost it sends the same delivery again, with the same number.
 *
 * @param {string} secret
 * @param {(event: string, task: { id: number, status: string, name: string }) => void} handle
 * @returns {import("node:http").Server}
 */
export function createReceiver(secret, handle) {
  /** Numbers of deliveries that were handled. Keep them in a database when a restart must not repeat one. */
  const handled = new Set();
  return createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk) => {
      body += chunk;
      if (body.length > MAX_BODY_CHARS) request.destroy();
    });
    request.on("end", () => {
      if (request.method !== "POST" || !isSigned(secret, String(request.headers["tablao-signature"]), body)) {
        response.writeHead(401).end();
        return;
      }
      const { id, event, task } = JSON.parse(body);
      if (!handled.has(id)) {
        handled.add(id);
        handle(event, task);
      }
      response.writeHead(204).end();
    });
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const secret = process.env["TABLAO_WEBHOOK_SECRET"];
  if (!secret) throw new Error("set TABLAO_WEBHOOK_SECRET to the secret that the manager showed");
  const port = Number(process.argv[2] ?? 8080);
  createReceiver(secret, (event, task) => {
    console.log(`${event}: task ${task.id} (${task.name}) is ${task.status}`);
  }).listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));
}
