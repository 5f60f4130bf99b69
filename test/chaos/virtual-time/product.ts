/**
 * Loads the product's own modules, which are written for the runtime, into Node: types here, values
 * at run time, because their types need the runtime's declarations, which conflict with Node's.
 */
import { registerHooks } from "node:module";
import path from "node:path";
import type { ReceiptClaims, Grant } from "../../../src/protocol/file.ts";
import type { Result } from "../../../src/lib/result.ts";
import type { Refusal } from "../../../src/protocol/problem.ts";
import type { RegistryRpc } from "../../../src/rpc/registry.ts";
import type { Claimed, DoneFrame, Renewed } from "../../../src/protocol/lease.ts";
import type { Piece } from "../../../src/protocol/piece-list.ts";
import type { Task, TaskSubmit } from "../../../src/protocol/task.ts";
import type { CompiledDefinition, UnsignedRenewed, UnsignedClaimed, Verified, TaskRpc } from "../../../src/rpc/task.ts";
import { takeOver } from "./world.ts";

type ObjectClass = new (ctx: object, env: object) => Record<string, (...args: unknown[]) => Promise<unknown>>;

export interface Product {
  TaskDO: ObjectClass;
  WorkerRegistry: ObjectClass;
  /** As HTTP handlers call objects: a fresh stub for each try. */
  callTask: <T>(env: object, id: number, call: (task: TaskRpc) => Promise<T>) => Promise<T>;
  callRegistry: <T>(env: object, call: (registry: RegistryRpc) => Promise<T>) => Promise<T>;
  /** A run of a cron trigger. */
  scheduled: (controller: { cron: string; scheduledTime?: number }, env: object) => Promise<void>;
  /** The daily job of retention. */
  deleteExpired: (env: object) => Promise<{ deleted: number[]; kept: string[] }>;
  /** What the routes of inputs and of tasks do. */
  sizesOfInputs: (
    env: object,
    hashes: readonly string[],
    now: () => number,
    lists: ReadonlySet<string>,
  ) => Promise<Result<Map<string, { size: number; whole: number | null }>, Refusal>>;
  noteStored: (
    env: object,
    inputs: readonly { sha256: string; size: number }[],
    seenMs: number,
    now: () => number,
  ) => Promise<Map<string, Refusal>>;
  storeOnce: (bucket: unknown, upload: object) => Promise<Result<{ created: boolean }, Refusal>>;
  takePieceList: (
    env: object,
    sha256: string,
    pieces: readonly Piece[],
    now: () => number,
  ) => Promise<Result<{ created: boolean }, Refusal>>;
  submitTask: (env: object, submit: TaskSubmit, key: string, caller: object) => Promise<Result<Task, Refusal>>;
  recompileTask: (
    env: object,
    task: Pick<Task, "type" | "parser" | "tags">,
    settings: Record<string, unknown>,
  ) => Promise<Result<CompiledDefinition, Refusal>>;
  /** A call of `tablao prune --inputs`. */
  sweepInputs: (
    dependencies: unknown,
    order: { days: number; deletes: boolean },
  ) => Promise<{ done: boolean; wait_ms: number }>;
  sweepDependencies: (env: object) => unknown;
  signingKey: (env: object) => Promise<unknown>;
  verifyGrant: (key: unknown, text: string, nowMs: number) => Promise<Result<Grant, Refusal>>;
  verifiedReceipts: <T extends { done: DoneFrame[] }>(env: object, body: T) => Promise<Result<Verified<T>, Refusal>>;
  grantedClaim: (env: object, worker: number, given: UnsignedClaimed) => Promise<Claimed>;
  grantedRenewal: (
    env: object,
    lease: Omit<Grant, "input_task" | "exp_ms">,
    extended: UnsignedRenewed,
  ) => Promise<Renewed>;
  signReceipt: (key: unknown, claims: ReceiptClaims) => Promise<string>;
}

const RUNTIME =
  "data:text/javascript,export class DurableObject { constructor(ctx, env) { this.ctx = ctx; this.env = env; } }";

/** Load it once per process. */
export async function loadProduct(): Promise<Product> {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "cloudflare:workers" ? { url: RUNTIME, shortCircuit: true } : next(specifier, context),
  });
  takeOver();
  Object.assign(globalThis, { WebSocketRequestResponsePair: Object });
  const objects = ["task/task-do", "registry/worker-registry"];
  const http = ["http/receipts", "http/grants", "http/submission", "http/unused-inputs"];
  const files = ["files/grant", "files/store", "files/stored-inputs", "files/input-sweep"];
  const modules = [...objects, "scheduled", "retention-job", "rpc/stubs", ...http, "platform/signing-key", ...files];
  const loaded: unknown[] = [];
  for (const name of modules) {
    const file = path.resolve(import.meta.dirname, "../../../src", `${name}.ts`);
    loaded.push(await import(file));
  }
  return Object.assign({}, ...loaded) as Product;
}
