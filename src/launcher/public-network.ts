/**
 * A binding that reaches public addresses only, as a plugin of Miniflare, whose own service reaches all.
 * A public name of a webhook may lead to a private address, also later than it was checked. A Worker
 * does not see addresses; the runtime does, at each connection.
 */
import type { Plugin } from "miniflare";

/** The type of the binding. A plugin of Miniflare can be asked for in no other way. */
const PUBLIC_NETWORK = "public-network";
/** The name of the binding (`src/rpc/env.ts`). */
const BINDING = "PUBLIC_NETWORK";

/** The binding, as an option of the Worker. */
export function publicNetwork() {
  const plugin = { package: import.meta.filename, name: PUBLIC_NETWORK };
  return { name: BINDING, type: PUBLIC_NETWORK, plugin, options: {} };
}

const plugin: Plugin = {
  getBindings(options) {
    const isAsked = Object.values(options.config.env ?? {}).some(({ type }) => type === `unsafe:${PUBLIC_NETWORK}`);
    return isAsked ? [{ name: BINDING, service: { name: PUBLIC_NETWORK } }] : undefined;
  },
  getNodeBindings: () => ({}),
  getServices: () => [
    // Without browsers' certificates, no https address is trusted.
    { name: PUBLIC_NETWORK, network: { allow: ["public"], deny: [], tlsOptions: { trustBrowserCas: true } } },
  ],
};

/** Miniflare loads this by name. */
export const plugins = { [PUBLIC_NETWORK]: plugin };
