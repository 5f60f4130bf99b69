/**
 * Takes orders from this user on this machine (`tablao worker pause`, `status` …): on a port of the loopback
 * address that is open to every user, and so only with the secret of a private file (`client/agent-control.ts`).
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { hostname } from "node:os";
import { orderSchema, type AgentOrder } from "../client/agent-control.ts";
import type { AgentStatus } from "../client/agent-status.ts";
import { writePrivateFile } from "../client/private-file.ts";
import type { Result } from "../lib/result.ts";

/** An order is shorter. */
const MAX_BYTES = 1_024;
/** Who connects says what it wants at once; without a bound, silent connections would fill the places. */
const ORDER_MS = 5_000;
/** Connections at a time. */
const MAX_CONNECTIONS = 16;

/** Carries an order out: how the agent is then, or why not. */
export type Obey = (order: AgentOrder) => Result<AgentStatus, string>;

export class ControlServer {
  readonly #server: Server;
  readonly #file: string;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, file: string) {
    this.#server = server;
    this.#file = file;
  }

  /** Listen, and write the file. The caller holds the lock of the worker. Rejects with the system's error. */
  static async start(file: string, obey: Obey): Promise<ControlServer> {
    const secret = randomBytes(32).toString("base64url");
    const server = createServer();
    const control = new ControlServer(server, file);
    server.maxConnections = MAX_CONNECTIONS;
    server.on("connection", (socket) => control.#serve(socket, secret, obey));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    // An agent that has nothing else to do ends.
    server.unref();
    const { port } = server.address() as AddressInfo;
    try {
      writePrivateFile(file, `${JSON.stringify({ port, secret, pid: process.pid, host: hostname() })}\n`);
    } catch (error) {
      server.close();
      throw error;
    }
    return control;
  }

  /** Listen no more, and remove the file. */
  close(): void {
    rmSync(this.#file, { force: true });
    this.#server.close();
    for (const socket of this.#sockets) socket.destroySoon();
  }

  #serve(socket: Socket, secret: string, obey: Obey): void {
    this.#sockets.add(socket);
    let text = "";
    const timer = setTimeout(() => socket.destroy(), ORDER_MS).unref();
    socket.on("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    socket.on("error", () => socket.destroy());
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end === -1 && text.length <= MAX_BYTES) return;
      socket.removeAllListeners("data");
      socket.end(end === -1 ? "" : answerTo(text.slice(0, end), secret, obey));
    });
  }
}

/** Nothing for who does not know the secret. */
function answerTo(line: string, secret: string, obey: Obey): string {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return "";
  }
  const parsed = orderSchema.safeParse(json);
  if (!parsed.success) {
    // A newer command line may know more orders; only who knows the secret is told so.
    const known = (json as { secret?: unknown } | null)?.secret;
    return typeof known === "string" && isSame(known, secret)
      ? answer({ refused: "this agent does not know the order: it is of another version" })
      : "";
  }
  if (!isSame(parsed.data.secret, secret)) return "";
  const result = obey(parsed.data.order);
  return answer(result.ok ? { status: result.value } : { refused: result.error });
}

function answer(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** Compares in a time that does not depend on where two texts differ. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
