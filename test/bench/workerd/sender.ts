/**
 * Requests straight to the manager's Worker, in its own isolate: the real router, tokens and
 * validation, without a socket.
 */
import type { Env } from "../../../src/rpc/env.ts";
import type { Meter } from "./meter.ts";
import type { Send } from "./simulated-agent.ts";

/** Makes a `Send` that counts each request and throws when it is refused. */
export function sender(
  worker: Required<Pick<ExportedHandler<Env>, "fetch">>,
  env: Env,
  meter: Meter,
  context: () => ExecutionContext,
): Send {
  return async (method, path, token, body) => {
    meter.counts.requests++;
    const headers = new Headers({ authorization: `Bearer ${token}` });
    if (body && "json" in body) headers.set("content-type", "application/json");
    if (body && "bytes" in body) for (const [name, value] of Object.entries(body.headers)) headers.set(name, value);
    const content = body && ("json" in body ? JSON.stringify(body.json) : body.bytes);
    const init = { method, headers, ...(content !== undefined && { body: content }) };
    const request = new Request(`https://farm.example${path}`, init) as Parameters<typeof worker.fetch>[0];
    const response = await worker.fetch(request, env, context());
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return text === "" ? null : JSON.parse(text);
  };
}
