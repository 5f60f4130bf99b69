/**
 * The manager: the real rules, and round them what the task's object does to keep them (`HeldTask`, `decide`, `TaskStore.note`,
 * `LeaseDesk.#settle`, `TaskChores.arm`), line by line; `model.test.ts` fails when those lines change.
 */
import { ok, type Result } from "../../src/lib/result.ts";
import type { Refusal } from "../../src/protocol/problem.ts";
import type { TaskAction } from "../../src/protocol/task.ts";
import { claim, type ClaimOutcome } from "../../src/task/rules/claim.ts";
import { act } from "../../src/task/rules/user-actions.ts";
import { frames, has } from "../../src/task/rules/frame-set.ts";
import { complete, expire, fail, release, renew, type DoneFrame } from "../../src/task/rules/settle.ts";
import { SWEEP_AFTER_MS } from "../../src/protocol/constants.ts";
import { Leases, type LiveLease } from "../../src/task/rules/lease-index.ts";
import type { FrameEntry, Terms, Transition } from "../../src/task/rules/ledger.ts";
import { doomedBy } from "../../src/task/rules/garbage.ts";
import { nextWakeMs } from "../../src/task/rules/next-alarm.ts";
import { ledgerText } from "./canonical.ts";
import { copyOf, type Configuration, type Held, type Message, type Reply, type World } from "./world.ts";

/** One step of the manager, as the checks see it. */
export interface Step<T> {
  before: World;
  after: World;
  result: Result<T, Refusal>;
  effects: Transition["effects"];
}

/** The output file of a frame: its bytes are known by the lease under which they were made. */
export function fileOf(frame: number, leaseId: string): DoneFrame["files"][number] {
  return { name: nameOf(frame), size: 1, sha256: leaseId };
}

function nameOf(frame: number): string {
  return `f${frame}`;
}

type Change<T> = (t: Transition, entries: Record<number, FrameEntry>) => Result<T, Refusal>;

export class Manager {
  readonly configuration: Configuration;
  readonly terms: Terms;

  constructor(configuration: Configuration, terms: Terms) {
    this.configuration = configuration;
    this.terms = terms;
  }

  /** Carry out a worker's call. Lease ids are made from the world's serial. */
  call(world: World, message: Message, ableWorkers: number): Step<unknown> & { reply: Reply; serial: number } {
    let { serial } = world;
    const claimIn = (t: Transition, key: string): ClaimOutcome =>
      claim(t, { worker: message.worker, key, epoch: message.epoch, leaseId: `L${++serial}` });
    const step = this.#decide(
      world,
      ableWorkers,
      (t): Result<{ lease: LiveLease | null; committed: number }, Refusal> => {
        if (message.verb === "claim") {
          const claimed = claimIn(t, message.key);
          t.effects.idle = claimed.lease === null || !claimed.fresh;
          return ok({ lease: claimed.lease, committed: 0 });
        }
        const { worker, leaseId, attempt, next } = message;
        const ref = { worker, leaseId, attempt };
        const done = message.done.map((frame) => ({ frame, seconds: 0, files: [fileOf(frame, leaseId)] }));
        if (message.verb === "renew") {
          const renewed = renew(t, ref, done);
          return renewed.ok ? ok({ lease: renewed.value, committed: 0 }) : renewed;
        }
        const repeated = next !== null && t.ledger.leases.claimedWith(worker, next) !== undefined;
        const settled = repeated
          ? ok({ committed: done.length })
          : message.verb === "complete"
            ? complete(t, ref, done)
            : message.verb === "fail"
              ? fail(t, ref, done, message.blamed, "broken")
              : release(t, ref, done, "released");
        if (!settled.ok) return settled;
        return ok({ lease: next === null ? null : claimIn(t, next).lease, committed: settled.value.committed });
      },
      this.configuration.gathers,
    );
    const reply: Reply = step.result.ok
      ? {
          ok: true,
          lease: step.result.value.lease && heldOf(step.result.value.lease),
          committed: step.result.value.committed,
        }
      : { ok: false, code: step.result.error.code, detail: step.result.error.detail };
    return { ...step, after: { ...step.after, serial }, reply, serial };
  }

  /** A person's action. */
  act(world: World, action: TaskAction, named: string | undefined): Step<null> {
    return this.#transit(world, this.configuration.able[0]!, (t, entries) =>
      act(
        t,
        {
          failedFrames: () =>
            Object.keys(entries)
              .map(Number)
              .filter((frame) => entries[frame]!.state === "failed"),
          clear: () => {
            for (const frame of Object.keys(entries)) delete entries[Number(frame)];
          },
        },
        action,
        named,
        "somebody",
      ),
    );
  }

  /** The alarm: expiry, and the sweep that is due. */
  alarm(world: World): Step<null> {
    const step = this.#transit({ ...this.write(world), alarmMs: null }, this.configuration.able[0]!, (t) => {
      expire(t);
      t.effects.idle = true;
      return ok(null);
    });
    return { ...step, before: this.write(world) };
  }

  sweepDue({ memory, nowMs, objects }: World): boolean {
    return objects !== null && memory.ledger.sweeps.some((sweep) => sweep.due_ms <= nowMs);
  }

  /** The alarm's sweep: what `TaskChores.#sweep` deletes. */
  sweep(world: World): World {
    const memory = copyOf(world.memory);
    const { ledger, entries } = memory;
    const objects = { ...world.objects };
    for (const sweep of ledger.sweeps.filter((s) => s.due_ms <= world.nowMs)) {
      const doomed = doomedBy(sweep, { get: (frame) => entries[frame] });
      for (const key of Object.keys(objects)) {
        const [attempt, frame] = key.split("/").map(Number) as [number, number];
        const goes =
          doomed.of === "attempts"
            ? attempt <= doomed.through
            : attempt === doomed.attempt &&
              (doomed.of === "attempt" ? !doomed.keep.has(nameOf(frame)) : has(doomed.frames, frame));
        if (goes) delete objects[key];
      }
      const carriedOut = JSON.stringify(sweep);
      ledger.sweeps = ledger.sweeps.filter((other) => JSON.stringify(other) !== carriedOut);
    }
    for (const lease of ledger.leases) lease.stored_ms = lease.until_ms;
    const after: World = { ...world, memory, stored: memory, objects };
    return { ...after, alarmMs: this.#armed(after) };
  }

  /** The registry's word that work of higher priority waits. */
  outrank(world: World): Step<null> {
    return this.#transit(world, this.configuration.able[0]!, (t) => {
      t.ledger.outranked = world.epoch;
      return ok(null);
    });
  }

  /** What is gathered becomes a row, and the answers that wait for it may go. */
  write(world: World): World {
    if (!world.gathered) return world;
    const memory = copyOf(world.memory);
    for (const lease of memory.ledger.leases) lease.stored_ms = lease.until_ms;
    const workers = world.workers.map((worker) =>
      worker.waits ? { ...worker, carriedOut: worker.carriedOut || worker.waits.carriedOut, waits: null } : worker,
    );
    const after = { ...world, memory, stored: memory, gathered: false, workers, notedStored: world.noted };
    return { ...after, alarmMs: this.#armed(after) };
  }

  /** The object is gone from memory, whatever for; the next call finds what was stored. Calls that waited are never answered. */
  evict(world: World): World {
    const workers = world.workers.map((worker) => (worker.waits ? { ...worker, waits: null, reply: null } : worker));
    const { ledger, entries } = JSON.parse(JSON.stringify(world.stored)) as World["stored"];
    const stored = { ledger: { ...ledger, leases: new Leases(ledger.leases) }, entries };
    return { ...world, memory: stored, stored, gathered: false, workers, noted: world.notedStored };
  }

  /** A change that looks at what is stored: what is gathered is stored before. */
  #transit<T>(world: World, ableWorkers: number, change: Change<T>): Step<T> {
    return this.#decide(this.write(world), ableWorkers, change, false);
  }

  #decide<T>(world: World, ableWorkers: number, change: Change<T>, gathers: boolean): Step<T> {
    const { nowMs } = world;
    const memory = copyOf(world.memory);
    const { ledger, entries } = memory;
    const t: Transition = {
      terms: this.terms,
      ledger,
      book: {
        get: (frame) => entries[frame],
        set: (frame, entry) => void (entry ? (entries[frame] = entry) : delete entries[frame]),
      },
      nowMs,
      ableWorkers,
      effects: { events: [], canceled: [], idle: false, expired: false },
    };
    const result = change(t, entries);
    if (world.objects === null) ledger.sweeps = [];
    const after: World = { ...world, memory };
    if ((!result.ok || t.effects.idle) && !t.effects.expired) {
      // Nothing is stored; where nothing changed either, memory is still what is stored.
      const { tickMs } = this.configuration;
      if (ledgerText(memory, nowMs, tickMs) === ledgerText(world.memory, nowMs, tickMs)) after.memory = world.memory;
    } else {
      ledger.version++;
      ledger.updated_ms = nowMs;
      ledger.event_seq += t.effects.events.length;
      if (gathers) after.gathered = true;
      else {
        for (const lease of ledger.leases) lease.stored_ms = lease.until_ms;
        after.stored = memory;
      }
    }
    if (!after.gathered) after.alarmMs = this.#armed(after);
    return { before: world, after, result, effects: t.effects };
  }

  #armed({ memory, alarmMs, nowMs }: World): number | null {
    const { leases, sweeps } = memory.ledger;
    const nextMs = nextWakeMs({ leases, sweeps, outboxMs: null, reportMs: null, newsMs: null, removeMs: null });
    if (nextMs === null) return alarmMs;
    const atMs = Math.max(nextMs, nowMs + 1);
    return alarmMs !== null && alarmMs > nowMs && alarmMs <= atMs ? alarmMs : atMs;
  }
}

function heldOf(lease: LiveLease): Held {
  return {
    attempt: lease.attempt,
    leaseId: lease.lease_id,
    frames: [...frames(lease.frames)],
    grantMs: lease.until_ms + SWEEP_AFTER_MS,
  };
}
