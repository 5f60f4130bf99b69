/**
 * The calls of the differential test, one after the other: derived from a seed and from the answers
 * so far.
 */
import { framesOf, parseFrameList } from "../../../src/protocol/frame-list.ts";
import type { Result } from "../../../src/lib/result.ts";
import type { Task } from "../../../src/protocol/task.ts";
import type { UnsignedClaimed, UnsignedLease, VerifiedFrame, TaskDefinition } from "../../../src/rpc/task.ts";
import { definitionOf } from "../../support/definition.ts";
import type { Rng } from "../rng.ts";

export const ADMIN = { role: "admin", id: 0, name: "admin" } as const;
/** No multiple of a step, so that nothing falls due at the very instant of a call. */
export const LEASE_MS = 5_300;
/**
 * A renewal is written when less than half of the lease is left. A renewal that is not written may
 * be forgotten by a reset, and the two objects would differ.
 */
const RENEW_AFTER_MS = 3_000;
const SHA = "ab".repeat(32);
const ANY = /[0-9a-z]{8}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{12}/g;

export interface ScriptedCall {
  method: string;
  args: unknown[];
  /** Use the answer for later calls. */
  learn: (answer: unknown, nowMs: number) => void;
}

interface Held {
  lease: UnsignedLease;
  worker: number;
  frames: number[];
  renewedMs: number;
}

/**
 * Frame lists, and parts of them that users name. The last list fills several pages with one call.
 */
const LISTS = [
  ["1-12", "2-5", "1,3"],
  ["-5-20:5,30-60", "-5,30-45", "60"],
  ["1-300", "1-200", "7,90-180"],
] as const;

export class CallScript {
  readonly rng: Rng;
  readonly definition: TaskDefinition;
  readonly #parts: readonly string[];
  readonly #held: Held[] = [];
  readonly #attempts = new Map<string, number>();
  readonly #keys = new Map<number, string>();
  /**
   * Version of the updates that the script makes up: far above those of the task in whose name they
   * come.
   */
  #version = 1_000_000;
  /** The call that follows from the answer of the last one. */
  #then: ScriptedCall | null = null;

  constructor(rng: Rng) {
    this.rng = rng;
    const [list, ...parts] = rng.pick(LISTS);
    this.#parts = parts;
    const waits = rng.pick([null, null, null, "all", "same"] as const);
    this.definition = {
      ...defined(rng.pick(["demo_render", "print_string"]), list),
      chunk: rng.pick([1, 1, 3, 20, 100, "auto"] as const),
      order: rng.pick(["ascending", "preview"] as const),
      tries: rng.pick([1, 3, 20]),
      depends_on: waits === null ? [] : [{ task: 7, frames: waits }],
    };
  }

  /** The value without what differs each time: lease ids and signatures. */
  plain(value: unknown): string {
    // `history_failure` depends on how often D1 was asked, which resets and refused writes change. A lease
    // ends by an alarm, and an alarm whose write was refused rings again later: whether the task has ended is
    // compared, the millisecond is not.
    const text = JSON.stringify(value ?? null, (key, item: unknown) => {
      if (key === "ended_ms" && typeof item === "number") return "a time";
      return ["version", "updated_ms", "log_watched", "history_failure"].includes(key) ? undefined : item;
    });
    return text.replaceAll(ANY, (id) => `lease-of-${this.#attempts.get(id) ?? "?"}`);
  }

  next(nowMs: number): ScriptedCall {
    const { rng } = this;
    const then = this.#then;
    this.#then = null;
    if (then) return then;
    const held = this.#held[this.#held.length - 1 - rng.int(0, 4)];
    const roll = rng.int(0, 99);
    if (roll < 20 || (!held && roll < 60)) return this.#claim();
    if (held && roll < 45) return this.#settle(held, "complete");
    if (held && roll < 52) return this.#settle(held, "fail");
    if (held && roll < 58) return this.#settle(held, "release");
    if (held && roll < 66 && nowMs - held.renewedMs >= RENEW_AFTER_MS) return this.#renew(held);
    if (roll < 82) return this.#patch();
    if (roll < 85) return call("patch", ...this.#settings());
    return this.#other(rng.int(0, 7));
  }

  /**
   * Lease calls of several workers at one instant; none of them waits for another object or writes
   * a log.
   */
  together(nowMs: number): ScriptedCall[] {
    const { rng } = this;
    return Array.from({ length: rng.int(2, 6) }, () => {
      const held = this.#held[this.#held.length - 1 - rng.int(0, 6)];
      const roll = rng.int(0, 99);
      if (!held || roll < 40) return this.#claim();
      if (roll < 80) return this.#settle(held, "complete", false);
      if (roll < 90 || nowMs - held.renewedMs < RENEW_AFTER_MS) return this.#settle(held, "release", false);
      return this.#renew(held);
    });
  }

  #claim(): ScriptedCall {
    const worker = this.rng.int(1, 4);
    const learn: ScriptedCall["learn"] = (answer, nowMs) => {
      const claimed = answer as Result<UnsignedClaimed, unknown>;
      if (claimed.ok) this.#take(claimed.value, worker, nowMs);
    };
    return { method: "claim", args: [{ id: worker }, this.#claimBody(worker)], learn };
  }

  #claimBody(worker: number): object {
    const again = this.rng.chance(0.15) ? this.#keys.get(worker) : undefined;
    const key = again ?? `key-${this.rng.word(12)}`;
    this.#keys.set(worker, key);
    return { key, platform: "linux", epoch: this.rng.int(0, 4) };
  }

  #take({ lease }: UnsignedClaimed, worker: number, nowMs: number): void {
    if (!lease || this.#attempts.has(lease.lease_id)) return;
    this.#attempts.set(lease.lease_id, lease.attempt);
    const list = parseFrameList(lease.frames);
    this.#held.push({ lease, worker, frames: list.ok ? [...framesOf(list.value)] : [], renewedMs: nowMs });
  }

  #settle(held: Held, verb: "complete" | "fail" | "release", logs = true): ScriptedCall {
    const { lease, worker, frames } = held;
    const count = verb === "complete" ? frames.length : this.rng.int(0, frames.length);
    const done = this.#done(held, count);
    const body: Record<string, unknown> = { attempt: lease.attempt, done };
    if (logs && this.rng.chance(0.3)) body["log"] = `attempt ${lease.attempt} ${this.rng.word(20)}`;
    if (verb === "release") body["reason"] = "stopping";
    else body["next"] = this.rng.chance(0.6) ? this.#claimBody(worker) : null;
    if (verb === "fail") Object.assign(body, { frames: String(frames.at(-1)), error: `broken ${this.rng.word(6)}` });
    const learn: ScriptedCall["learn"] = (answer, nowMs) => {
      const settled = answer as Result<{ next: UnsignedClaimed | null }, unknown>;
      if (settled.ok && settled.value.next) this.#take(settled.value.next, worker, nowMs);
    };
    return { method: verb, args: [{ id: worker }, lease.lease_id, body], learn };
  }

  #renew(held: Held): ScriptedCall {
    const { lease, worker, frames } = held;
    const done = this.#done(held, this.rng.int(0, frames.length));
    const learn: ScriptedCall["learn"] = (_, nowMs) => void (held.renewedMs = nowMs);
    const body = { attempt: lease.attempt, done, progress: null };
    return { method: "renew", args: [{ id: worker }, lease.lease_id, body], learn };
  }

  #done({ lease, frames }: Held, count: number): VerifiedFrame[] {
    return frames.slice(0, count).map((frame) => {
      const name = lease.plan.outputs.find((output) => output.frame === frame)?.name;
      const claims = { task: 1, attempt: lease.attempt, name: name ?? "", size: 9, sha256: SHA };
      return { frame, seconds: Math.abs(frame) / 8, receipts: name === undefined ? [] : [claims] };
    });
  }

  #patch(): ScriptedCall {
    const patch = this.#anyPatch();
    if (patch["status"] !== "requeue" || patch["frames"] === undefined) return call("patch", patch, ADMIN, null);
    // Finished frames may be among them: it says which files it has seen.
    const learn: ScriptedCall["learn"] = (answer) => {
      const view = answer as Result<Task, unknown> | undefined;
      if (view?.ok) this.#then = call("patch", { ...patch, files_version: view.value.files_version }, ADMIN, null);
    };
    return { ...call("view"), learn };
  }

  #anyPatch(): Record<string, unknown> {
    const { rng } = this;
    const frames = rng.pick([...this.#parts, "1", "999"]);
    return rng.pick<Record<string, unknown>>([
      { status: "pause" },
      { status: "resume" },
      { status: "resume" },
      { status: "cancel" },
      { status: "requeue" },
      { status: "requeue" },
      { status: "requeue", frames },
      { status: "requeue", frames: "all" },
      { status: "skip", frames },
      { status: "skip", frames, priority: 7 },
      { priority: rng.int(1, 99) },
      { name: rng.word(5) },
    ]);
  }

  /** Other settings, alone or with an action that may be refused; the Worker has compiled them. */
  #settings(): [object, typeof ADMIN, object] {
    const frames = this.rng.pick(LISTS)[0];
    const { type } = this.definition;
    const { settings, frame_list, format, needs, input_task, files_per_frame } = defined(type, frames);
    const compiled = { settings, frame_list, format, needs, input_task, files_per_frame };
    const action = this.rng.pick([{}, { status: "skip", frames: "999" }, { status: "pause" }]);
    return [{ settings: { frames }, ...action }, ADMIN, compiled];
  }

  #other(which: number): ScriptedCall {
    const { rng } = this;
    switch (which) {
      case 0:
        return call("appendLog", rng.int(1, 4), null, rng.word(30));
      case 1:
        return call("outrank", rng.int(0, 3));
      case 2:
        return call("revokeShares");
      case 3:
        return call("watch", 99, rng.pick(["all", "same"]));
      case 4: {
        const update = {
          id: 7,
          version: ++this.#version,
          state: rng.pick(["open", "open", "completed"]),
          done: rng.pick(this.#parts),
        };
        return call("dependencyMoved", update);
      }
      case 5:
        return call("alarm");
      case 6:
        return call("backupPage", null);
      default:
        return call("view");
    }
  }
}

function call(method: string, ...args: unknown[]): ScriptedCall {
  return { method, args, learn: () => undefined };
}

function defined(type: string, frames: string): TaskDefinition {
  const settings = type === "print_string" ? { frames, text: "x" } : { frames };
  return definitionOf(type, settings, { id: 1, lease_ms: LEASE_MS });
}
