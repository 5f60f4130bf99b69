/**
 * Connections through a proxy, and such that trust more authorities than Node does. Loaded only
 * where one of the two is wanted: `undici` is as large as the rest of the program, and Node's own
 * copy of it takes neither.
 */
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import { Agent, DecoratorHandler, fetch as undiciFetch, type Dispatcher } from "undici";
import { VERSION } from "../protocol/version.ts";
import { defaultAuthorities } from "./authorities.ts";
import { ProxyRefusal } from "./network-fault.ts";
import { bareHost, portOf, type Proxy } from "./proxy.ts";
import { whyUnreachable } from "./manager-answer.ts";

/** One step of a connection: as long as Node's own fetch waits for it. */
const CONNECT_MS = 10_000;
/** Behind some routers, a connection that is silent for longer is dropped. The value is undici's. */
const KEEP_ALIVE_MS = 60_000;

interface Target {
  host: string;
  port: number;
  secure: boolean;
}

/** Told a connection, or why there is none. */
type Connected = (...result: [Error, null] | [null, net.Socket]) => void;

/** What the way to a manager needs. */
export interface DialerOptions {
  /** The manager's address. */
  url: URL;
  proxy: Proxy | undefined;
  /** Certificates in PEM that count besides those that Node trusts by itself. */
  authorities: readonly string[];
  env: NodeJS.ProcessEnv;
}

export class Dialer {
  readonly #target: Target;
  readonly #proxy: Proxy | undefined;
  readonly #secureContext: tls.SecureContext | undefined;
  readonly #agent: Agent;
  readonly #dispatcher: Dispatcher;

  constructor({ url, proxy, authorities, env }: DialerOptions) {
    const target = { host: bareHost(url), port: portOf(url), secure: url.protocol === "https:" };
    this.#target = target;
    this.#proxy = proxy;
    // Made once: for each connection anew it would take longer than its handshake.
    if (authorities.length > 0)
      this.#secureContext = tls.createSecureContext({ ca: [...defaultAuthorities(env), ...authorities] });
    // Many proxies open tunnels to the port of https only: plain http is sent to the proxy itself.
    const forwards = proxy !== undefined && !target.secure;
    this.#agent = new Agent({
      connect: (_, connected) => void tell(forwards ? this.#connectToProxy(proxy) : this.#open(), connected),
    });
    this.#dispatcher = forwards ? this.#agent.compose(forwardTo(proxy)) : this.#agent;
  }

  /** As the global `fetch`. */
  async fetch(url: string, init: RequestInit): Promise<Response> {
    const options = { ...(init as Parameters<typeof undiciFetch>[1]), dispatcher: this.#dispatcher };
    // Both are written after the same standard; only their names differ.
    return (await undiciFetch(url, options)) as unknown as Response;
  }

  /** Open a connection to the manager, as the request for a WebSocket takes it. Never rejects. */
  async connect(connected: Connected): Promise<void> {
    await tell(this.#open(), connected);
  }

  /** Connect to the manager, through the proxy if there is one. */
  async #open(): Promise<net.Socket> {
    if (!this.#proxy) return await this.#connect(this.#target);
    const socket = await tunnel(this.#proxy, await this.#connectToProxy(this.#proxy), this.#target);
    return this.#target.secure ? await this.#connect(this.#target, socket) : socket;
  }

  async #connectToProxy(proxy: Proxy): Promise<net.Socket> {
    try {
      return await this.#connect(proxy);
    } catch (error) {
      throw new ProxyRefusal(`${proxy.shown} cannot be reached: ${whyUnreachable(error)}`, { cause: error });
    }
  }

  /** Connect to a server directly, or secure the connection that `socket` is. */
  async #connect({ host, port, secure }: Target, socket?: net.Socket): Promise<net.Socket> {
    if (!secure) return await opened(net.connect({ host, port }), "connect");
    const context = this.#secureContext && { secureContext: this.#secureContext };
    const name = net.isIP(host) === 0 ? { servername: host } : {};
    const options = { host, port, ALPNProtocols: ["http/1.1"], ...name, ...context, ...(socket && { socket }) };
    return await opened(tls.connect(options), "secureConnect");
  }
}

async function tell(opening: Promise<net.Socket>, connected: Connected): Promise<void> {
  let socket: net.Socket;
  try {
    socket = await opening;
  } catch (error) {
    connected(error as Error, null);
    return;
  }
  connected(null, socket);
}

/** Send requests to the proxy, with the whole address of the server in them (RFC 9112, absolute-form). */
function forwardTo(proxy: Proxy): Dispatcher.DispatcherComposeInterceptor {
  const host = proxy.host.includes(":") ? `[${proxy.host}]` : proxy.host;
  const origin = `${proxy.secure ? "https" : "http"}://${host}:${proxy.port}`;
  return (dispatch) => (options, handler) => {
    const url = new URL(String(options.origin));
    const headers = {
      ...(options.headers as Record<string, string>),
      host: url.host,
      ...(proxy.authorization !== undefined && { "proxy-authorization": proxy.authorization }),
    };
    const watched = new SignInWatch(handler, proxy);
    return dispatch({ ...options, origin, path: `${url.origin}${options.path}`, headers }, watched);
  };
}

/** Tells what a proxy wants that answers 407: `fetch` ends such a request without a word. */
class SignInWatch extends DecoratorHandler {
  readonly #handler: Dispatcher.DispatchHandlers;
  readonly #proxy: Proxy;

  constructor(handler: Dispatcher.DispatchHandlers, proxy: Proxy) {
    super(handler);
    this.#handler = handler;
    this.#proxy = proxy;
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, text: string): boolean {
    // What is thrown here is the cause of the error of `fetch`.
    if (status === 407) throw new ProxyRefusal(signInText(this.#proxy, []));
    return this.#handler.onHeaders?.(status, headers, resume, text) ?? true;
  }
}

/** Wait until a socket is connected. */
async function opened(socket: net.Socket, event: "connect" | "secureConnect"): Promise<net.Socket> {
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error("no answer in time")), CONNECT_MS);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    const closed = (): void => fail(new Error("the connection was closed"));
    socket.once("error", fail);
    socket.once("close", closed);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off("error", fail).off("close", closed);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      resolve(socket);
    });
  });
}

/** Have the proxy at the other end of `socket` connect to a server (RFC 9110, CONNECT). */
async function tunnel(proxy: Proxy, socket: net.Socket, { host, port }: Target): Promise<net.Socket> {
  const target = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const headers = {
    host: target,
    "user-agent": `tablao/${VERSION}`,
    ...(proxy.authorization !== undefined && { "proxy-authorization": proxy.authorization }),
  };
  return await new Promise((resolve, reject) => {
    const fail = (text: string): void => {
      socket.destroy();
      reject(new ProxyRefusal(text));
    };
    const request = http.request({ method: "CONNECT", path: target, headers, createConnection: () => socket });
    const timer = setTimeout(() => request.destroy(new Error("no answer in time")), CONNECT_MS);
    request.once("connect", (response, _, head) => {
      clearTimeout(timer);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      } else if (status === 407) fail(signInText(proxy, response.headers["proxy-authenticate"] ?? []));
      else fail(`${proxy.shown} opens no connection to ${target}: it answered ${status}`);
    });
    request.once("error", (error) => {
      clearTimeout(timer);
      fail(`${proxy.shown} opens no connection to ${target}: ${whyUnreachable(error)}`);
    });
    request.end();
  });
}

/** What to do about a proxy that wants a sign-in; `schemes` are the kinds that it offers. */
function signInText({ shown, variable, authorization }: Proxy, schemes: readonly string[] | string): string {
  const offered = [schemes].flat().flatMap((scheme) => /^[a-z\d-]{1,20}/.exec(scheme.trim().toLowerCase()) ?? []);
  if (offered.length > 0 && !offered.includes("basic"))
    return `${shown} wants a sign-in of a kind that is not known here (${offered.join(", ")}): only user and password (Basic) are`;
  return authorization === undefined
    ? `${shown} wants a user and a password: add them to ${variable} (http://user:password@…)`
    : `${shown} does not take the user and password in ${variable} (407)`;
}
