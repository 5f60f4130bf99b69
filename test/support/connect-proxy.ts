/**
 * A forward proxy of a company: it opens tunnels (CONNECT) to the servers that it knows, by names
 * that no DNS has, and passes requests for plain http on. It can want a password.
 */
import http from "node:http";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import type { Duplex } from "node:stream";
import type { Certificate } from "./certificates.ts";

export interface ConnectProxyOptions {
  /** Where names lead: `farm.test:443` to a port of this machine. Others are refused with 403. */
  known: Readonly<Record<string, number>>;
  /** `user:password` that clients must show. */
  password?: string;
  /** The kind of sign-in that it asks for; Basic. */
  scheme?: string;
  /** It is spoken to by TLS. */
  secure?: Certificate;
}

export interface ConnectProxy {
  port: number;
  /** Targets of tunnels that were opened, in order. */
  tunnels: string[];
  /** Targets that were refused, with the status. */
  refused: string[];
  /** Whole addresses of requests for plain http that were passed on. */
  passed: string[];
  /** Tunnels that are open now. */
  open(): number;
  close(): Promise<void>;
}

/** Start a proxy on a free port of this machine. */
export async function startConnectProxy(options: ConnectProxyOptions): Promise<ConnectProxy> {
  const { known, password, scheme = "Basic", secure } = options;
  const [tunnels, refused, passed]: [string[], string[], string[]] = [[], [], []];
  const sockets = new Set<Duplex>();
  let open = 0;
  const wanted = password === undefined ? undefined : `Basic ${Buffer.from(password).toString("base64")}`;
  const statusFor = (target: string, request: http.IncomingMessage): number =>
    wanted !== undefined && request.headers["proxy-authorization"] !== wanted ? 407 : known[target] ? 200 : 403;

  const server = secure ? https.createServer(secure) : http.createServer();
  server.on("connection", (socket: net.Socket) => sockets.add(socket.on("close", () => sockets.delete(socket))));
  server.on("connect", (request: http.IncomingMessage, client: Duplex, head: Buffer) => {
    const target = request.url ?? "";
    client.on("error", () => client.destroy());
    const status = statusFor(target, request);
    if (status !== 200) {
      refused.push(`${status} ${target}`);
      client.end(`HTTP/1.1 ${status} No\r\nproxy-authenticate: ${scheme} realm="x"\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    tunnels.push(target);
    open += 1;
    const upstream = net.connect(known[target]!, "127.0.0.1");
    upstream.on("error", () => client.destroy());
    upstream.on("close", () => client.destroy());
    client.on("close", () => {
      open -= 1;
      upstream.destroy();
    });
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    upstream.write(head);
    upstream.pipe(client).pipe(upstream);
  });
  server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
    // A proxy is asked with the whole address.
    const url = new URL(request.url ?? "", "none:/");
    const target = `${url.hostname}:${url.port || 80}`;
    const status = url.protocol === "http:" ? statusFor(target, request) : 400;
    if (status !== 200) {
      refused.push(`${status} ${target}`);
      response.writeHead(status, { "proxy-authenticate": `${scheme} realm="x"` }).end();
      return;
    }
    passed.push(`${request.method} ${request.url}`);
    const { "proxy-authorization": _, ...headers } = request.headers;
    const to = { port: known[target]!, path: url.pathname + url.search, method: request.method ?? "GET", headers };
    const upstream = http.request(to, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  });
  await listening(server);
  return {
    port: (server.address() as AddressInfo).port,
    tunnels,
    refused,
    passed,
    open: () => open,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface TlsFront {
  port: number;
  /** Connections whose handshake was done. */
  connections(): number;
  close(): Promise<void>;
}

/** Serve a port of this machine by TLS, on all addresses of this machine. */
export async function startTlsFront(port: number, certificate: Certificate): Promise<TlsFront> {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const server = tls.createServer({ ...certificate, ALPNProtocols: ["http/1.1"] }, (client) => {
    connections += 1;
    const upstream = net.connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    upstream.pipe(client).pipe(upstream);
  });
  server.on("connection", (socket) => sockets.add(socket));
  await listening(server, "0.0.0.0");
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listening(server: net.Server, host = "127.0.0.1"): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
}
