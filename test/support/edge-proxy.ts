/**
 * A proxy in front of a manager that now and then answers in its place, as a firewall, a bot rule
 * or a sign-in page does. WebSockets pass, too.
 */
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { FOREIGN_ANSWERS, type ForeignName } from "./foreign-answers.ts";

export interface EdgeCall {
  method: string;
  /** Without the query. */
  path: string;
}

/** What the client gets instead of the manager's answer. */
export interface Interference {
  answer: ForeignName;
  /** The manager gets the call and does it; only its answer is lost. */
  after?: boolean;
}

export interface EdgeProxy {
  url: string;
  /** Calls that were not answered by the manager, in order. */
  met: (EdgeCall & Interference)[];
  /** Break off all WebSockets. */
  cutSockets(): void;
  close(): Promise<void>;
}

/** Start a proxy to the manager at `target`. `choose` is asked for each call. */
export async function startEdgeProxy(
  target: string,
  choose: (call: EdgeCall) => Interference | undefined,
): Promise<EdgeProxy> {
  const met: EdgeProxy["met"] = [];
  const sockets = new Set<Duplex>();
  const chosen = (request: http.IncomingMessage): Interference | undefined => {
    const call = { method: request.method ?? "", path: new URL(request.url ?? "/", target).pathname };
    const interference = choose(call);
    if (interference) met.push({ ...call, ...interference });
    return interference;
  };

  let url = "";
  /** The manager compares the address with the page's origin, so both are named as its own. */
  const ownName = ([name, value]: [string, string]): [string, string] => {
    if (name.toLowerCase() === "host") return [name, new URL(target).host];
    return [name, name.toLowerCase() === "origin" && value === url ? new URL(target).origin : value];
  };

  const server = http.createServer((request, response) => {
    const interference = chosen(request);
    if (interference && !interference.after) {
      request.on("end", () => answer(response, interference.answer)).resume();
      return;
    }
    const headers = Object.fromEntries(pairsOf(request.rawHeaders).map(ownName));
    const options = { method: request.method ?? "GET", headers };
    const upstream = http.request(new URL(request.url ?? "/", target), options, (reply) => {
      if (interference) {
        reply.on("end", () => answer(response, interference.answer)).resume();
        return;
      }
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.on("error", () => response.destroy()).pipe(response);
    });
    // When one side closes, close the other, too, as a broken connection does.
    const sides: NodeJS.EventEmitter[] = [request, response, upstream];
    for (const side of sides) {
      side.on("error", () => {
        upstream.destroy();
        response.destroy();
      });
    }
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  });

  server.on("upgrade", (request, client, head) => {
    const interference = chosen(request);
    client.on("error", () => client.destroy());
    if (interference) {
      const { status, headers, body } = FOREIGN_ANSWERS[interference.answer];
      const lines = Object.entries({ ...headers, "content-length": Buffer.byteLength(body), connection: "close" });
      client.once("finish", () => client.destroy());
      client.end(`${headOf(`HTTP/1.1 ${status} -`, lines)}${body}`);
      return;
    }
    const { hostname, port } = new URL(target);
    const upstream = net.connect(Number(port), hostname);
    const ends: [Duplex, Duplex][] = [
      [client, upstream],
      [upstream, client],
    ];
    for (const [one, other] of ends) {
      sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    upstream.write(headOf(`${request.method} ${request.url} HTTP/1.1`, pairsOf(request.rawHeaders).map(ownName)));
    upstream.write(head);
    upstream.pipe(client);
    client.pipe(upstream);
  });

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cutSockets = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url,
    met,
    cutSockets,
    close: async () => {
      cutSockets();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(response: http.ServerResponse, name: ForeignName): void {
  const { status, headers, body } = FOREIGN_ANSWERS[name];
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
}

function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) pairs.push([rawHeaders[i]!, rawHeaders[i + 1]!]);
  return pairs;
}

function headOf(first: string, headers: readonly (readonly [string, string | number])[]): string {
  return `${[first, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\r\n")}\r\n\r\n`;
}
