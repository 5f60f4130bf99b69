/** What a test asks of the emulated platform. Shared by both sides of `POST /__platform`. */
import type { LimitName } from "./limits/index.ts";

export type PlatformOrder =
  /** From now on these limits act, and no others. */
  | { do: "limits"; names: LimitName[] }
  /** How often each limit has acted so far. */
  | { do: "bites" }
  /** Set the manager's clock forward. */
  | { do: "clock"; byMs: number }
  /** How long until the manager's clock says 00:00 UTC. */
  | { do: "until midnight" }
  /** Reset every object: memory is lost, storage stays. */
  | { do: "reset" }
  /** A trigger of the configuration fires. */
  | { do: "cron"; cron: string }
  /** The rows and the alarm of a task's object. */
  | { do: "task"; id: number }
  /** The keys of the bucket under a prefix. */
  | { do: "keys"; prefix: string }
  /** Break a rule, and answer with the error; null when nothing refused it. */
  | { do: "break"; rule: Rule };

/** Rules of the platform that a farm on it need not meet, so that a test breaks them on purpose. */
export type Rule = "calls" | "queries" | "writes to a key" | "row" | "rpc" | "method";

/**
 * What the runtime says of an argument or answer above 32 MiB between Workers and objects
 * (https://developers.cloudflare.com/workers/runtime-apis/rpc/#limitations). It is the same in
 * workerd here, so nothing emulates it.
 */
export const TOO_LARGE = "Serialized RPC arguments or return values are limited to 32MiB";
