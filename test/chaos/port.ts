/**
 * How a simulated agent reaches the manager: over HTTP through the faulty proxy, or in one process
 * with virtual time.
 */
import type { Claim } from "../../src/protocol/lease.ts";

export type LeaseVerb = "renew" | "complete" | "fail" | "release";

export type Call =
  | { verb: "ask"; refused: { task_id: number; retry_after_ms: number } | undefined }
  | { verb: "claim"; task: number; body: Claim }
  | { verb: LeaseVerb; task: number; lease: string; body: Record<string, unknown> }
  | { verb: "upload"; task: number; name: string; grant: string; bytes: string; inParts: boolean };

/** An answer of the manager after which a call is not repeated: 2xx with its body, or a refusal. */
export interface Answer {
  status: number;
  body: unknown;
}

/** No answer, or one that asks to try again (5xx, 429). */
export class NoAnswer extends Error {
  override name = "NoAnswer";
}

/** One worker's connection to the manager. */
export interface Port {
  /** One try. Rejects with `NoAnswer`. */
  call(call: Call): Promise<Answer>;
}
