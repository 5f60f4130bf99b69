/**
 * The way to a manager: directly or through a proxy, and whose word counts for its certificate. Used
 * for every request and for the WebSocket.
 *
 * - The proxy is that of the environment (`proxy.ts`).
 * - The authorities are those that Node trusts, those of `--ca` or `TABLAO_CA`, and those of the
 *   system. The system's are read only when a certificate is not trusted without them, and then the
 *   connection is tried anew: a start that does not need them does not wait for them.
 * - Without a proxy and without further authorities, requests are those of Node's own `fetch`.
 */
import type { ClientRequestArgs } from "node:http";
import { readAuthorities, systemAuthorities } from "./authorities.ts";
import type { Dialer } from "./dialer.ts";
import { isUntrusted } from "./network-fault.ts";
import { proxyFor, type Proxy } from "./proxy.ts";

export class Network {
  readonly #url: URL;
  readonly #env: NodeJS.ProcessEnv;
  readonly #proxy: Proxy | undefined;
  #authorities: readonly string[] = [];
  #trustsSystem = false;
  #dialer: Promise<Dialer> | undefined;

  /**
   * The way to `url`, an http(s) address. `ca` is a file with further authorities in PEM, by default
   * that of `TABLAO_CA`. Throws `NetworkFault` for a variable or a file that cannot be used.
   */
  constructor(url: string, env: NodeJS.ProcessEnv = process.env, ca?: string) {
    this.#url = new URL(url);
    this.#env = env;
    this.#proxy = proxyFor(this.#url, env);
    if (ca !== undefined) this.#authorities = readAuthorities(ca, "--ca");
    // A manager on this machine, by http, must not depend on it.
    else if (env["TABLAO_CA"] && (this.#url.protocol === "https:" || this.#proxy?.secure))
      this.#authorities = readAuthorities(env["TABLAO_CA"], "TABLAO_CA");
  }

  /** As the global `fetch`. The address must be of the host that this is the way to. */
  async fetch(url: string, init: RequestInit): Promise<Response> {
    const dialer = await this.#special();
    return dialer ? await dialer.fetch(url, init) : await fetch(url, init);
  }

  /** What `ws` needs to open a socket on this way, beside its other options. */
  async socketOptions(): Promise<Pick<ClientRequestArgs, "createConnection">> {
    const dialer = await this.#special();
    if (!dialer) return {};
    // With an error, nobody looks at the socket.
    return { createConnection: (_, created) => void dialer.connect((error, socket) => created(error, socket!)) };
  }

  /**
   * What may be done about a request that failed: a function that is asked after the failure, and
   * says whether the same request may now succeed, because the authorities of the system were not
   * trusted when it began, and are now. The connection was refused before anything was sent.
   */
  beforeTry(): (error: unknown) => boolean {
    const trusted = this.#trustsSystem;
    return (error) => !trusted && isUntrusted(error) && this.#trustSystem();
  }

  /** Whether that made a difference. */
  #trustSystem(): boolean {
    if (this.#trustsSystem) return true;
    const found = systemAuthorities(this.#env);
    if (found.length === 0) return false;
    this.#trustsSystem = true;
    this.#authorities = [...this.#authorities, ...found];
    // Calls that are under way end on the connections that they have.
    this.#dialer = undefined;
    return true;
  }

  #special(): Promise<Dialer> | undefined {
    if (!this.#proxy && this.#authorities.length === 0) return undefined;
    this.#dialer ??= import("./dialer.ts").then(
      ({ Dialer }) =>
        new Dialer({ url: this.#url, proxy: this.#proxy, authorities: this.#authorities, env: this.#env }),
    );
    return this.#dialer;
  }
}
