/**
 * The manager: the product's own transitions (`decide`, and the changes of `rules/lease-calls.ts`),
 * and around them what the platform does for the object: storage that holds what was written,
 * memory that an eviction takes, an alarm. `model.test.ts` names the lines of the object that this
 * file imitates.
 */
import type { Result } from "../../src/lib/result.ts";
import { grantEndMs } from "../../src/protocol/constants.ts";
import type { Refusal } from "../../src/protocol/problem.ts";
import type { TaskAction } from "../../src/protocol/task.ts";
import type { DependencyProgress, TaskDefinition } from "../../src/rpc/task.ts";
import type { ClaimRequest } from "../../src/task/rules/claim.ts";
import { frames, has } from "../../src/task/rules/frame-set.ts";
import { takeProgress } from "../../src/task/rules/input-task.ts";
import { toDelete, withoutDeleted } from "../../src/task/rules/garbage.ts";
import {
  claimLease,
  expireLeases,
  preempt,
  renewLease,
  settleLease,
  type Ending,
} from "../../src/task/rules/lease-calls.ts";
import { Leases, type LiveLease } from "../../src/task/rules/lease-index.ts";
import type { Effects, FrameEntry, FrameTable, Terms, Transition } from "../../src/task/rules/ledger.ts";
import { alarmToSet, LATE_MS } from "../../src/platform/alarm.ts";
import { dueOf, nextWakeMs } from "../../src/task/rules/next-alarm.ts";
import { newRecord, type DeferredState, type LoadedTask } from "../../src/task/rules/record.ts";
import type { RenderedFrame } from "../../src/task/rules/settle.ts";
import { changed, decide, type Observer, type Outcome } from "../../src/task/rules/transition.ts";
import { act, type Named } from "../../src/task/rules/user-actions.ts";
import { definitionOf } from "../support/definition.ts";
import { ledgerText } from "./canonical.ts";
import {
  blendersOf,
  copyOf,
  type Configuration,
  type Held,
  type LeaseCall,
  type Message,
  type Reply,
  type World,
} from "./world.ts";

/** One step of the manager, as the checks see it. */
export interface Step<T> {
  before: World;
  after: World;
  result: Result<T, Refusal>;
  effects: Effects;
}

/** The output file of a frame: its bytes are known by the lease under which they were made. */
export function fileOf(frame: number, leaseId: string): RenderedFrame["files"][number] {
  return { name: nameOf(frame), size: 1, sha256: leaseId };
}

function nameOf(frame: number): string {
  return `f${frame}`;
}

/** What a call gives: a lease or none, and how many frames it committed. */
interface Gives {
  lease: LiveLease | null;
  committed: number;
}

type Entries = Record<number, FrameEntry>;

export class Manager {
  readonly configuration: Configuration;
  readonly terms: Terms;
  readonly #definition: TaskDefinition;
  /**
   * The deferred work of a task that owes nothing: the worlds have no registry, dependents or
   * history.
   */
  readonly #owesNothing: DeferredState;
  /** The effects of the last transition. */
  #effects: Effects = { events: [], canceled: [], expired: false };
  readonly #observers: readonly Observer[] = [{ before: (_task, t) => (this.#effects = t.effects), after: () => {} }];

  constructor(configuration: Configuration, terms: Terms) {
    this.configuration = configuration;
    this.terms = terms;
    this.#definition = definitionOf("demo_render", { frames: configuration.frames }, { id: terms.id });
    this.#owesNothing = { ...newRecord(this.#definition, 0).chores, report_due_ms: null };
  }

  /** Carry out a worker's call. Lease ids are made from the world's serial. */
  call(
    world: World,
    message: Message,
    ableWorkers: number,
    source?: DependencyProgress,
  ): Step<unknown> & { reply: Reply; serial: number } {
    let { serial } = world;
    const requestOf = (key: string): ClaimRequest => ({
      worker: message.worker,
      key,
      epoch: message.epoch,
      blenders: blendersOf(this.configuration, message.worker),
      leaseId: `L${serial + 1}`,
    });
    const change = (t: Transition): Outcome<Gives> => {
      if (message.verb === "claim")
        return gives(claimLease(t, { ...requestOf(message.key), source }), ({ lease }) => ({ lease, committed: 0 }));
      const { worker, leaseId, attempt, next } = message;
      const lease = { worker, leaseId, attempt };
      const { flats } = this.configuration;
      const done = message.done.map((frame) => ({
        frame,
        seconds: 0,
        files: [fileOf(frame, leaseId)],
        ...(flats > 0 && { oneColour: message.flat?.includes(frame) === true }),
      }));
      if (message.verb === "renew")
        return gives(renewLease(t, { lease, done, source }), (renewed) => ({ lease: renewed, committed: 0 }));
      const ending = endingOf(message);
      const settlement = { lease, done, ending, next: next === null ? null : requestOf(next), source };
      return gives(settleLease(t, settlement), ({ claimed, committed }) => ({
        lease: claimed && claimed.lease,
        committed,
      }));
    };
    const step = this.#decide(world, ableWorkers, change, this.configuration.sharesRows);
    // Whether the lease is new or known, a claim that reached the rules has used up an id.
    const claims = message.verb === "claim" || (step.result.ok && message.verb !== "renew" && message.next !== null);
    if (claims) serial++;
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
  act(world: World, action: TaskAction, named: Named): Step<null> {
    return this.#transact(world, this.configuration.able[0]!, (t, entries) => {
      const allFrames = {
        failedFrames: () =>
          Object.keys(entries)
            .map(Number)
            .filter((frame) => entries[frame]!.state === "failed"),
        clear: () => {
          for (const frame of Object.keys(entries)) delete entries[Number(frame)];
        },
      };
      const acted = act(t, allFrames, action, named, "somebody");
      return acted.ok ? changed(null) : acted;
    });
  }

  /** The alarm: expiry, and the garbage that is due. */
  alarm(world: World): Step<null> {
    const rung = { ...this.write(world), alarmMs: null, armedMs: null };
    const step = this.#transact(rung, this.configuration.able[0]!, expireLeases);
    return { ...step, before: this.write(world) };
  }

  /** Somebody reads the task. That changes nothing, but the object looks after its alarm. */
  read(world: World): World {
    return this.#armed(this.write(world));
  }

  garbageDue({ memory, nowMs, objects }: World): boolean {
    return objects !== null && memory.ledger.sweeps.some((garbage) => garbage.due_ms <= nowMs);
  }

  /**
   * The alarm's deletion of garbage: what `DeferredWork.#collectGarbage` deletes and then persists.
   */
  collectGarbage(world: World): World {
    const memory = copyOf(world.memory);
    const { ledger, entries } = memory;
    const objects = { ...world.objects };
    for (const garbage of ledger.sweeps.filter(({ due_ms }) => due_ms <= world.nowMs)) {
      const what = toDelete(garbage, tableOf(entries));
      for (const key of Object.keys(objects)) {
        const [attempt, frame] = key.split("/").map(Number) as [number, number];
        const goes =
          what.of === "attempts"
            ? attempt <= what.through
            : attempt === what.attempt &&
              (what.of === "attempt" ? !what.keep.has(nameOf(frame)) : has(what.frames, frame));
        if (goes) delete objects[key];
      }
      ledger.sweeps = withoutDeleted(ledger.sweeps, [garbage]);
    }
    ledger.leases.drainChanges();
    return this.#armed({ ...world, memory, stored: memory, objects });
  }

  /** News of the task that this one waits for: what `TaskDO.dependencyMoved` does. */
  news(world: World, progress: DependencyProgress): Step<null> {
    return this.#transact(world, this.configuration.able[0]!, (t) => {
      takeProgress(t, progress);
      return changed(null);
    });
  }

  /** The registry's word that work of higher priority waits. */
  preempt(world: World): Step<null> {
    return this.#transact(world, this.configuration.able[0]!, (t) => preempt(t, world.epoch));
  }

  /** What is pending becomes a row, and the answers that wait for it may go. */
  write(world: World): World {
    if (!world.pending) return world;
    const memory = copyOf(world.memory);
    memory.ledger.leases.drainChanges();
    const workers = world.workers.map((worker) =>
      worker.waits ? { ...worker, carriedOut: worker.carriedOut || worker.waits.carriedOut, waits: null } : worker,
    );
    const after = { ...world, memory, stored: memory, pending: false, workers, notedStored: world.noted };
    return this.#armed(after);
  }

  /**
   * The object is gone from memory, for whatever reason; the next call finds what was stored. Calls
   * that waited get no answer. The new instance reads when its alarm rings, and looks after it.
   */
  evict(world: World): World {
    const workers = world.workers.map((worker) => (worker.waits ? { ...worker, waits: null, reply: null } : worker));
    const { ledger, entries } = JSON.parse(JSON.stringify(world.stored)) as World["stored"];
    const stored = { ledger: { ...ledger, leases: new Leases(ledger.leases) }, entries };
    const { alarmMs: armedMs, notedStored: noted, nowMs } = world;
    const after = { ...world, memory: stored, stored, pending: false, workers, noted, armedMs };
    const aboutToRing = armedMs !== null && armedMs <= nowMs && armedMs > nowMs - lateMsIn(world);
    return aboutToRing ? after : this.#armed(after);
  }

  /** A transition of the committed view: what is pending is written before it. */
  #transact<T>(world: World, ableWorkers: number, change: (t: Transition, entries: Entries) => Outcome<T>): Step<T> {
    return this.#decide(this.write(world), ableWorkers, change, false);
  }

  #decide<T>(
    world: World,
    ableWorkers: number,
    change: (t: Transition, entries: Entries) => Outcome<T>,
    shares: boolean,
  ): Step<T> {
    const { nowMs } = world;
    const memory = copyOf(world.memory);
    const { ledger, entries } = memory;
    const chores = { ...this.#owesNothing, able_workers: ableWorkers };
    const task: LoadedTask = {
      definition: this.#definition,
      terms: this.terms,
      record: { ledger, chores, tail: [] },
    };
    const decision = decide(task, change, entries, nowMs, tableOf(entries), this.#observers);
    if (world.objects === null) ledger.sweeps = [];
    const after: World = { ...world, memory };
    if (!decision.changed) {
      // Nothing is stored. Where nothing changed either, memory is still what is stored.
      const { tickMs } = this.configuration;
      if (ledgerText(memory, nowMs, tickMs) === ledgerText(world.memory, nowMs, tickMs)) after.memory = world.memory;
    } else if (shares) after.pending = true;
    else {
      ledger.leases.drainChanges();
      after.stored = memory;
    }
    const armed = after.pending ? after : this.#armed(after);
    return { before: world, after: armed, result: decision.result, effects: this.#effects };
  }

  /** The world after the object looked at what is due. */
  #armed(world: World): World {
    const { ledger } = world.memory;
    const nextMs = nextWakeMs(dueOf({ ledger, chores: this.#owesNothing, tail: [] }));
    const atMs = nextMs === null ? null : alarmToSet(nextMs, world.armedMs, world.nowMs, lateMsIn(world));
    return atMs === null ? world : { ...world, alarmMs: atMs, armedMs: atMs };
  }
}

/**
 * When an alarm counts as lost. Where none is lost, a late one rings, too: whether it is set anew
 * makes no difference.
 */
function lateMsIn({ lossesLeft }: World): number {
  return lossesLeft === null ? Infinity : LATE_MS;
}

/** The frame table over a map of entries. */
function tableOf(entries: Entries): FrameTable {
  return {
    get: (frame) => entries[frame],
    set: (frame, entry) => void (entry ? (entries[frame] = entry) : delete entries[frame]),
  };
}

function gives<T>(outcome: Outcome<T>, what: (value: T) => Gives): Outcome<Gives> {
  return outcome.ok ? { ...outcome, value: what(outcome.value) } : outcome;
}

function endingOf({ verb, failed, fault, cause = "stopping" }: LeaseCall): Ending {
  if (verb === "fail") return { verb, failed, error: "broken", fault };
  return verb === "release" ? { verb, cause, reason: cause, frames: null } : { verb: "complete" };
}

function heldOf(lease: LiveLease): Held {
  return {
    attempt: lease.attempt,
    leaseId: lease.lease_id,
    frames: [...frames(lease.frames)],
    grantMs: grantEndMs(lease.until_ms),
  };
}
