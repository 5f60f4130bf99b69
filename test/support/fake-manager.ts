/**
 * A stand-in for the manager in tests of the agent: it records calls and answers as the test says.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PROBLEM_MEDIA_TYPE, problemType, type FieldError } from "../../src/protocol/problem.ts";
import { VERSION } from "../../src/protocol/version.ts";
import { FOREIGN_ANSWERS, type ForeignName } from "./foreign-answers.ts";

export interface Call {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: Buffer;
  /** The body as JSON; undefined when it is none. */
  json: Record<string, unknown> | undefined;
}

/**
 * An answer: status and JSON value or raw bytes, or `"hang up"` to break the connection. `breakAfter`: the connection
 * breaks after so many of the bytes.
 */
export type Answer =
  | { status: number; json?: unknown; bytes?: Uint8Array; headers?: Record<string, string>; breakAfter?: number }
  | "hang up";
export type Handler = (call: Call) => Answer | undefined | Promise<Answer | undefined>;

export class FakeManager {
  readonly calls: Call[] = [];
  readonly server: Server;
  /** Asked in order; the first that answers wins. */
  readonly handlers: Handler[] = [];
  accessTokens = 0;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(): Promise<FakeManager> {
    const server = createServer();
    const fake = new FakeManager(server);
    server.on("request", (request, response) => void fake.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Calls whose path matches. */
  to(path: RegExp): Call[] {
    return this.calls.filter((call) => path.test(call.path));
  }

  /** Answer calls of this method and path. */
  on(method: string, path: RegExp, answer: Handler): this {
    this.handlers.push((call) => (call.method === method && path.test(call.path) ? answer(call) : undefined));
    return this;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      // The client broke off: there is no call to answer.
      return;
    }
    const body = Buffer.concat(parts);
    const call: Call = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body,
      json: parse(body),
    };
    this.calls.push(call);
    const answer = (await this.#answer(call)) ?? problem(404, "not_found");
    if (answer === "hang up") {
      request.socket.destroy();
      return;
    }
    const {
      status,
      json,
      bytes = json === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(json)),
      headers = {},
      breakAfter,
    } = answer;
    response.writeHead(status, {
      "content-length": bytes.byteLength,
      ...(json !== undefined && { "content-type": "application/json" }),
      ...headers,
    });
    if (breakAfter === undefined) response.end(bytes);
    else response.write(bytes.subarray(0, breakAfter), () => request.socket.destroySoon());
  }

  async #answer(call: Call): Promise<Answer | undefined> {
    for (const handler of this.handlers) {
      const answer = await handler(call);
      if (answer !== undefined) return answer;
    }
    if (call.path === "/healthz") return { status: 200, json: { status: "ok", version: VERSION } };
    if (call.path === "/auth/access") {
      this.accessTokens++;
      return {
        status: 200,
        json: { access_token: `access-${this.accessTokens}`, expires_ms: Date.now() + 60_000, expires_in_ms: 60_000 },
      };
    }
    return undefined;
  }
}

/** A problem document, as a manager sends it. */
export function problem(status: number, code: string, detail = code, errors?: FieldError[]): Answer {
  return {
    status,
    json: { type: problemType(code), title: code, status, code, detail, errors },
    headers: { "content-type": PROBLEM_MEDIA_TYPE },
  };
}

/** An answer that is not a manager's. */
export function foreign(name: ForeignName): Answer {
  const { status, headers, body } = FOREIGN_ANSWERS[name];
  return { status, headers, bytes: Buffer.from(body) };
}

/** Lower-case hexadecimal. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function parse(body: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body.toString()) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** Accept uploads of outputs; the receipt is `<grant>:<name>:<first digits of the hash>`. */
export function takeUploads(manager: FakeManager): void {
  manager.on("PUT", /\/outputs\//, ({ path, headers, body }) => {
    const name = path.split("/").at(-1)!;
    const sum = sha256(body);
    if (sum !== headers["tablao-sha256"]) return problem(422, "invalid");
    const grant = headers["tablao-grant-token"] ?? headers["tablao-grant"];
    const receipt = `${String(grant)}:${name}:${sum.slice(0, 8)}`;
    return { status: 201, json: { receipt, name, size: body.length, sha256: sum } };
  });
}
