/**
 * An HTTP proxy in front of a manager: it counts what a client sends, and can hold it back in the
 * middle of an upload.
 */
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { Transform, type Duplex } from "node:stream";

export interface Seen {
  method: string;
  path: string;
  /** Bytes of the body that were passed on. */
  bytes: number;
  /** Bytes of the answer's body that were passed on. */
  answered: number;
  /** Status of the manager's answer; undefined when there was none. */
  status: number | undefined;
  /** Whether the call was answered or broken off. */
  over: boolean;
}

export interface CountingProxy {
  url: string;
  seen: Seen[];
  /** Bytes of all bodies so far. */
  bytes(): number;
  /** Start counting anew. */
  reset(): void;
  /** After so many bytes, hold back every body; headers and answers pass. */
  holdAfter(bytes: number): void;
  /** Whether bodies are held back now. */
  holding(): boolean;
  /**
   * Break off every call, as the end of a client does; held bytes are dropped. From here on bodies
   * pass.
   */
  cut(): void;
  close(): Promise<void>;
}

/** An answer in the place of the manager's, which the request then does not reach. */
export interface ForeignAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export interface ProxyOptions {
  /** Asked for each request, WebSockets included; undefined when the manager is to answer. */
  foreign?: (request: http.IncomingMessage) => ForeignAnswer | undefined;
  /** Pass on no more bytes of answers to requests of these paths than so many. */
  holdAnswers?: { path: RegExp; after: number };
}

/** Start a proxy to the manager at `target`. */
export async function startCountingProxy(target: string, options: ProxyOptions = {}): Promise<CountingProxy> {
  const seen: Seen[] = [];
  const bytes = (): number => seen.reduce((sum, request) => sum + request.bytes, 0);
  const held: (() => void)[] = [];
  let limit = Infinity;
  const server = http.createServer((request, response) => {
    const entry: Seen = {
      method: request.method ?? "",
      path: request.url ?? "",
      bytes: 0,
      answered: 0,
      status: undefined,
      over: false,
    };
    seen.push(entry);
    const foreign = options.foreign?.(request);
    if (foreign) {
      entry.status = foreign.status;
      response.on("close", () => (entry.over = true));
      // The body is not read, as by a server that refuses a request for its head.
      response.writeHead(foreign.status, { ...foreign.headers, connection: "close" }).end(foreign.body);
      request.resume();
      return;
    }
    const through = new Transform({
      transform: (chunk: Buffer, _encoding, pass) => {
        const go = (): void => {
          entry.bytes += chunk.length;
          pass(null, chunk);
        };
        if (bytes() + chunk.length > limit) held.push(go);
        else go();
      },
    });
    const upstream = http.request(new URL(entry.path, target), { method: entry.method, headers: request.headers });
    // When one side closes, close the other, too, as a broken connection does.
    const cut = (): void => {
      upstream.destroy();
      response.destroy();
    };
    upstream.on("error", cut);
    request.on("error", cut);
    response.on("error", cut);
    response.on("close", () => {
      entry.over = true;
      upstream.destroy();
    });
    upstream.on("response", (answer) => {
      entry.status = answer.statusCode;
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      const { path = /^$/, after = 0 } = options.holdAnswers ?? {};
      const most = path.test(entry.path) ? after : Infinity;
      const counted = new Transform({
        transform: (chunk: Buffer, _encoding, pass) => {
          if (entry.answered + chunk.length > most) return;
          entry.answered += chunk.length;
          pass(null, chunk);
        },
      });
      answer.on("error", cut).pipe(counted).pipe(response);
    });
    request.pipe(through).pipe(upstream);
  });
  const sockets = new Set<Duplex>();
  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket.on("close", () => sockets.delete(socket)));
    tunnel(new URL(target), request, socket, head, options.foreign?.(request));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    bytes,
    reset: () => void seen.splice(0),
    holdAfter: (value) => (limit = value),
    holding: () => held.length > 0,
    cut: () => {
      limit = Infinity;
      held.splice(0);
      server.closeAllConnections();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Pass a WebSocket on, or refuse it with a foreign answer. */
function tunnel(
  target: URL,
  request: http.IncomingMessage,
  client: Duplex,
  head: Buffer,
  foreign: ForeignAnswer | undefined,
): void {
  client.on("error", () => client.destroy());
  if (foreign) {
    const lines = Object.entries(foreign.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const { status, body } = foreign;
    client.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${lines.join("")}connection: close\r\n\r\n${body}`);
    return;
  }
  const server = net.connect(Number(target.port), target.hostname);
  server.on("error", () => client.destroy());
  server.on("close", () => client.destroy());
  client.on("close", () => server.destroy());
  const { rawHeaders: raw } = request;
  const headers = raw.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${raw[i + 1]}\r\n`] : []));
  server.write(`${request.method} ${request.url} HTTP/1.1\r\n${headers.join("")}\r\n`);
  server.write(head);
  server.pipe(client).pipe(server);
}
