/**
 * A faulty network between the agents and the manager: requests and replies are dropped, delayed,
 * doubled, reordered, cut in the middle, answered by an intermediary, or never answered. The seed
 * decides what happens to an agent's n-th request.
 */
import http from "node:http";
import net from "node:net";
import type { Duplex } from "node:stream";
import type { Rng } from "./rng.ts";

const FATES = [
  "drop request",
  "drop reply",
  "delay",
  "double",
  "late",
  "cut request",
  "cut reply",
  "5xx before",
  "5xx after",
  "half open",
] as const;
export type Fate = (typeof FATES)[number] | "pass";

/** Marks an answer that did not come from the manager. */
export const INJECTED = "x-chaos";
/** Names the agent to the proxy. */
export const AGENT_HEADER = "x-agent";

interface Reply {
  status: number;
  headers: http.OutgoingHttpHeaders;
  body: Buffer;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class FaultyNetwork {
  readonly #rng: Rng;
  readonly #target: () => number;
  readonly #server: http.Server;
  readonly #requests = new Map<string, number>();
  readonly #sockets = new Set<Duplex>();
  readonly #count: (what: string) => void;
  /** Probability that something happens to a request. */
  rate = 0;
  /** Requests that are under way, or held back to arrive late. */
  inFlight = 0;
  url = "";

  constructor(rng: Rng, targetPort: () => number, count: (what: string) => void) {
    this.#rng = rng;
    this.#target = targetPort;
    this.#count = count;
    this.#server = http.createServer((request, response) => void this.#serve(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#tunnel(request, socket, head));
    this.#server.on("clientError", (_, socket) => socket.destroy());
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #rngFor(request: http.IncomingMessage): Rng {
    const agent = String(request.headers[AGENT_HEADER] ?? "?");
    const n = (this.#requests.get(agent) ?? 0) + 1;
    this.#requests.set(agent, n);
    return this.#rng.fork(`${agent}/${n}`);
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const rng = this.#rngFor(request);
    const fate: Fate = rng.chance(this.rate) ? rng.pick(FATES) : "pass";
    if (fate !== "pass") this.#count(fate);
    this.inFlight++;
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      await this.#deliver(fate, rng, request, Buffer.concat(chunks), response);
    } catch {
      // The manager is away, or one side has closed: the agent sees a broken connection.
      response.destroy();
    } finally {
      this.inFlight--;
    }
  }

  async #deliver(
    fate: Fate,
    rng: Rng,
    request: http.IncomingMessage,
    body: Buffer,
    response: http.ServerResponse,
  ): Promise<void> {
    const forward = (): Promise<Reply> => this.#forward(request, body);
    switch (fate) {
      case "pass":
        return send(response, await forward());
      case "delay":
        await sleep(rng.int(50, 1_400));
        return send(response, await forward());
      case "drop request":
        response.destroy();
        return;
      case "drop reply":
        await forward();
        response.destroy();
        return;
      case "double": {
        const reply = await forward();
        send(response, reply);
        // The copy may come at once, or long after the agent's next calls.
        await sleep(rng.chance(0.5) ? 0 : rng.int(100, 6_500));
        await forward();
        return;
      }
      case "late":
        // The agent sees a broken connection and goes on; the request arrives after its next one.
        response.destroy();
        await sleep(rng.int(200, 6_500));
        await forward();
        return;
      case "cut request":
        await this.#cut(request, body);
        response.destroy();
        return;
      case "cut reply": {
        const reply = await forward();
        response.writeHead(reply.status, { ...reply.headers, "content-length": reply.body.length });
        response.write(reply.body.subarray(0, Math.floor(reply.body.length / 2)), () => response.destroy());
        return;
      }
      case "5xx before":
        return send(response, injected(rng));
      case "5xx after":
        await forward();
        return send(response, injected(rng));
      case "half open":
        if (rng.chance(0.5)) await forward();
        // No answer and no end: the agent must give up by itself.
        await sleep(5_000);
        response.destroy();
    }
  }

  #forward(request: http.IncomingMessage, body: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const headers = { ...request.headers, host: `127.0.0.1:${this.#target()}`, connection: "close" };
      if (body.length > 0) headers["content-length"] = String(body.length);
      const options = { host: "127.0.0.1", port: this.#target(), method: request.method, path: request.url, headers };
      const out = http.request({ ...options, agent: false, timeout: 20_000 }, (reply) => {
        const chunks: Buffer[] = [];
        reply.on("data", (chunk: Buffer) => chunks.push(chunk));
        reply.on("error", reject);
        reply.on("end", () => {
          const { connection: _, "transfer-encoding": __, ...kept } = reply.headers;
          resolve({ status: reply.statusCode ?? 502, headers: kept, body: Buffer.concat(chunks) });
        });
      });
      out.on("timeout", () => out.destroy(new Error("timed out")));
      out.on("error", reject);
      out.end(body);
    });
  }

  /** Half of the request reaches the manager, and then the connection breaks. */
  async #cut(request: http.IncomingMessage, body: Buffer): Promise<void> {
    const socket = net.connect(this.#target(), "127.0.0.1");
    socket.on("error", () => undefined);
    const raw = Buffer.concat([Buffer.from(headOf(request, body.length)), body]);
    const half = Math.max(raw.length - Math.ceil(body.length / 2), Math.floor(raw.length / 2));
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      socket.write(raw.subarray(0, half), () => setTimeout(() => socket.destroy(), 20));
    });
  }

  /** A WebSocket: refused, cut, or silent, after a while. */
  #tunnel(request: http.IncomingMessage, client: Duplex, head: Buffer): void {
    const rng = this.#rngFor(request);
    const server = net.connect(this.#target(), "127.0.0.1");
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    if (rng.chance(this.rate / 2)) {
      client.destroy();
      return;
    }
    server.write(headOf(request, 0));
    server.write(head);
    server.pipe(client);
    client.pipe(server);
    if (!rng.chance(this.rate * 2)) return;
    setTimeout(
      () => {
        this.#count("socket broken");
        if (rng.chance(0.5)) return client.destroy();
        server.unpipe(client);
        client.unpipe(server);
        setTimeout(() => client.destroy(), 4_000).unref();
      },
      rng.int(200, 5_000),
    ).unref();
  }
}

function send(response: http.ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, reply.headers);
  response.end(reply.body);
}

function injected(rng: Rng): Reply {
  const status = rng.pick([500, 502, 503, 504]);
  return {
    status,
    headers: { "content-type": "text/html", [INJECTED]: "1" },
    body: Buffer.from("<h1>Bad gateway</h1>"),
  };
}

function headOf(request: http.IncomingMessage, length: number): string {
  const lines = [`${request.method} ${request.url} HTTP/1.1`];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!;
    if (!/^(content-length|transfer-encoding)$/i.test(name)) lines.push(`${name}: ${request.rawHeaders[i + 1]!}`);
  }
  if (length > 0) lines.push(`content-length: ${length}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
