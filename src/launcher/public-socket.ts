/**
 * The address at which a local manager serves, as a plugin of Miniflare. Miniflare's own sockets
 * will not do (docs/decisions/024-serving-locally.md): its entry believes `MF-…` headers, and its
 * direct sockets take `request.cf` from a header and answer a protocol by which Workers call each
 * other. This socket has neither, and adds a secret to each request, by which the Worker knows it.
 */
import type { Plugin } from "miniflare";
import { LOCAL_GATE_HEADER } from "../protocol/local-control.ts";

/** What the binding's options hold. */
export interface PublicSocket {
  /** Where to listen: `host:port`, IPv6 in brackets. */
  address: string;
  /** The name of the Worker, which has assets. */
  worker: string;
  /** The value of the header that is added. */
  secret: string;
}

/** The type of the binding that asks for the socket. A plugin of Miniflare can be asked for in no other way. */
export const PUBLIC_SOCKET = "public-socket";

const plugin: Plugin = {
  getBindings: () => undefined,
  getNodeBindings: () => ({}),
  getServices({ options }) {
    for (const binding of Object.values(options.config.env ?? {})) {
      if (binding.type !== `unsafe:${PUBLIC_SOCKET}`) continue;
      const { address, worker, secret } = (binding as unknown as { dev: { options: PublicSocket } }).dev.options;
      return {
        services: [],
        extensions: [],
        sockets: [
          {
            name: PUBLIC_SOCKET,
            address,
            // The part of Miniflare that serves the page's files, and passes on what is none.
            service: { name: `assets:rpc-proxy:${worker}` },
            http: { injectRequestHeaders: [{ name: LOCAL_GATE_HEADER, value: secret }] },
          },
        ],
      };
    }
    return undefined;
  },
};

/** Miniflare loads this by name. */
export const plugins = { [PUBLIC_SOCKET]: plugin };
