/**
 * A worker's connection to the manager over real HTTP and a real WebSocket, with short timeouts.
 */
import { createHash } from "node:crypto";
import http from "node:http";
import { WebSocket } from "ws";
import { pushSchema, type Push } from "../../src/protocol/worker.ts";
import { accessSchema } from "../../src/protocol/token.ts";
import type { Journal } from "./event-journal.ts";
import { NoAnswer, type Answer, type Call, type Port } from "./port.ts";
import { AGENT_HEADER, INJECTED } from "./proxy.ts";

/**
 * Less than half of the shortest lease, so that a call which is never answered can be repeated in
 * time.
 */
const TIMEOUT_MS = 1_500;

export interface HttpPortOptions {
  url: string;
  worker: number;
  secret: string;
  journal: Journal;
}

export class HttpPort implements Port {
  readonly #o: HttpPortOptions;
  readonly #agent = new http.Agent({ keepAlive: true });
  #access: string | undefined;
  #socket: WebSocket | undefined;
  #closed = false;

  constructor(options: HttpPortOptions) {
    this.#o = options;
  }

  async call(call: Call): Promise<Answer> {
    switch (call.verb) {
      case "ask": {
        const body = { status: "available", ...(call.refused && { refused: call.refused }) };
        return await this.#json("PATCH", `/workers/${this.#o.worker}`, body);
      }
      case "claim":
        return await this.#json("POST", `/tasks/${call.task}/leases`, call.body);
      case "upload":
        return await this.#upload(call);
      case "renew":
      case "complete":
      case "fail":
      case "release":
        return await this.#json("POST", `/tasks/${call.task}/leases/${call.lease}/${call.verb}`, call.body);
    }
  }

  async #upload(call: Extract<Call, { verb: "upload" }>): Promise<Answer> {
    const bytes = Buffer.from(call.bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const path = `/tasks/${call.task}/outputs/${call.name}`;
    const headers = { "tablao-grant-token": call.grant, "tablao-sha256": sha256 };
    if (!call.inParts) return await this.#authorized("PUT", path, bytes, headers);
    const part = await this.#authorized("PUT", `${path}/parts/1`, bytes, headers);
    if (part.status >= 300) return part;
    const whole = Buffer.from(JSON.stringify({ size: bytes.length, sha256 }));
    return await this.#authorized("POST", `${path}/assemble`, whole, {
      "tablao-grant-token": call.grant,
      "content-type": "application/json",
    });
  }

  async #json(method: string, path: string, body: object): Promise<Answer> {
    const bytes = Buffer.from(JSON.stringify(body));
    return await this.#authorized(method, path, bytes, { "content-type": "application/json" });
  }

  async #authorized(method: string, path: string, body: Buffer, headers: Record<string, string>): Promise<Answer> {
    this.#access ??= await this.#buyAccess();
    const answer = await this.#send(method, path, body, { ...headers, authorization: `Bearer ${this.#access}` });
    if (answer.status !== 401) return answer;
    this.#access = undefined;
    throw new NoAnswer("the access token has expired");
  }

  async #buyAccess(): Promise<string> {
    const headers = { authorization: `Bearer ${this.#o.secret}` };
    const answer = await this.#send("POST", "/auth/access", Buffer.alloc(0), headers);
    if (answer.status !== 200) {
      this.#o.journal.surprise(`POST /auth/access was answered ${answer.status} ${JSON.stringify(answer.body)}`);
      throw new NoAnswer("no access token");
    }
    return accessSchema.parse(answer.body).access_token;
  }

  async #send(method: string, path: string, body: Buffer, headers: Record<string, string>): Promise<Answer> {
    const reply = await this.#exchange(method, path, body, headers);
    const fake = reply.headers[INJECTED] !== undefined;
    if (reply.status === 500 && !fake)
      this.#o.journal.surprise(`P10: ${method} ${path} was answered 500: ${reply.text.slice(0, 200)}`);
    if (reply.status >= 500 || reply.status === 429) throw new NoAnswer(String(reply.status));
    return { status: reply.status, body: reply.text === "" ? null : JSON.parse(reply.text) };
  }

  #exchange(
    method: string,
    path: string,
    body: Buffer,
    headers: Record<string, string>,
  ): Promise<{ status: number; headers: http.IncomingHttpHeaders; text: string }> {
    return new Promise((resolve, reject) => {
      const broken = (error: Error): void => {
        clearTimeout(timer);
        reject(new NoAnswer(error.message));
      };
      const all = { ...headers, [AGENT_HEADER]: String(this.#o.worker), "content-length": String(body.length) };
      const request = http.request(this.#o.url + path, { method, headers: all, agent: this.#agent }, (reply) => {
        const chunks: Buffer[] = [];
        reply.on("data", (chunk: Buffer) => chunks.push(chunk));
        reply.on("error", broken);
        reply.on("aborted", () => broken(new Error("cut")));
        reply.on("end", () => {
          clearTimeout(timer);
          const text = Buffer.concat(chunks).toString("utf8");
          if (reply.complete) resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text });
          else broken(new Error("cut"));
        });
      });
      const timer = setTimeout(() => request.destroy(new Error("timed out")), TIMEOUT_MS);
      request.on("error", broken);
      request.end(body);
    });
  }

  /** Keep a socket to the registry, as the agent does: for pushes, and to count as online. */
  listen(onPush: (push: Push) => void): void {
    if (this.#closed) return;
    const again = (): void => void setTimeout(() => this.listen(onPush), 300).unref();
    this.#buyAccess().then(
      (access) => this.#open(access, onPush, again),
      () => again(),
    );
  }

  #open(access: string, onPush: (push: Push) => void, again: () => void): void {
    if (this.#closed) return;
    const headers = { authorization: `Bearer ${access}`, [AGENT_HEADER]: String(this.#o.worker) };
    const url = `${this.#o.url.replace(/^http/, "ws")}/workers/${this.#o.worker}/socket`;
    const socket = new WebSocket(url, { headers, handshakeTimeout: TIMEOUT_MS, perMessageDeflate: false });
    this.#socket = socket;
    let answered = true;
    const pings = setInterval(() => {
      if (!answered) return socket.terminate();
      answered = false;
      if (socket.readyState === WebSocket.OPEN) socket.send("ping");
    }, 1_500);
    socket.on("message", (data) => {
      answered = true;
      const text = (data as Buffer).toString();
      const push = text.startsWith("{") ? pushSchema.safeParse(JSON.parse(text)) : undefined;
      if (push?.success) onPush(push.data);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearInterval(pings);
      again();
    });
  }

  close(): void {
    this.#closed = true;
    this.#socket?.terminate();
    this.#agent.destroy();
  }
}
