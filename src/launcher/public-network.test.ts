import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { startMiniflare } from "./miniflare.ts";
import { publicNetwork } from "./public-network.ts";

const SCRIPT = `export default {
  async fetch(request, env) {
    const [how, url] = new URL(request.url).searchParams.get("ask").split(" ");
    try {
      return new Response(String((await (how === "named" ? globalThis : env.PUBLIC_NETWORK).fetch(url)).status));
    } catch {
      return new Response("not reached");
    }
  },
};`;

test("P9: a webhook of a local manager reaches no private address, wherever its name leads, unless its host was named", async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.end("here");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const miniflare = startMiniflare({
    modules: true,
    script: SCRIPT,
    compatibilityDate: "2026-11-02",
    unsafeBindings: [publicNetwork()],
  });
  try {
    const url = await miniflare.ready;
    const ask = async (how: string, host: string): Promise<string> => {
      const target = new URL(url);
      target.searchParams.set("ask", `${how} http://${host}:${port}/`);
      return await (await fetch(target)).text();
    };
    // `localhost` is a name: it is refused by where it leads.
    for (const host of ["127.0.0.1", "localhost"]) expect(await ask("plain", host)).toBe("not reached");
    expect(asked).toBe(0);
    expect(await ask("named", "127.0.0.1")).toBe("200");
    expect(asked).toBe(1);
  } finally {
    await miniflare.dispose();
    server.close();
  }
});
