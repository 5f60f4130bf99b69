/** A page's live socket in tests: what it has been sent, and how it was closed. */
import { exports } from "cloudflare:workers";
import { ADMIN_TOKEN, HOST } from "./http-client.ts";
import { until } from "./wait.ts";

export interface Watch<M> {
  socket: WebSocket;
  messages: M[];
  closed: { code: number; reason: string } | null;
  /** Wait until the received messages satisfy `enough`. */
  until(enough: (messages: M[]) => boolean, what: string): Promise<M[]>;
}

/** Open a live socket, with the admin's token unless headers say otherwise. */
export async function watch<M>(
  path: string,
  headers: Record<string, string> = { Authorization: `Bearer ${ADMIN_TOKEN}` },
): Promise<Watch<M>> {
  const manager = (exports as unknown as { default: Fetcher }).default;
  const response = await manager.fetch(HOST + path, { headers: { Upgrade: "websocket", ...headers } });
  const socket = response.webSocket;
  if (!socket) throw new Error(`no socket: ${response.status} ${await response.text()}`);
  const line: Watch<M> = {
    socket,
    messages: [],
    closed: null,
    until: async (enough, what) => {
      await until(
        () => enough(line.messages),
        () => `${what}, after ${JSON.stringify(line.messages).slice(0, 2_000)},`,
      );
      return line.messages;
    },
  };
  socket.addEventListener("message", ({ data }) => {
    if (data !== "pong") line.messages.push(JSON.parse(String(data)) as M);
  });
  socket.addEventListener("close", ({ code, reason }) => {
    line.closed = { code, reason };
    // A browser does this, too. Without it the other side's closing handshake never ends.
    socket.close();
  });
  socket.accept();
  return line;
}
