/**
 * What must hold in every state of the task, whatever calls are on their way. The checks read the
 * ledger alone, so each different ledger is checked once.
 */
import { isDeepStrictEqual } from "node:util";
import { claim } from "../../src/task/rules/claim.ts";
import { act } from "../../src/task/rules/user-actions.ts";
import { applyDependencyProgress } from "../../src/task/rules/dependencies.ts";
import { frames } from "../../src/task/rules/frame-set.ts";
import {
  complete,
  expire,
  fail,
  release,
  renew,
  type GivenBack,
  type RenderedFrame,
  type LeaseRef,
} from "../../src/task/rules/settle.ts";
import type { LiveLease } from "../../src/task/rules/lease-index.ts";
import { countsOf, statusOf, type Terms, type Transition } from "../../src/task/rules/ledger.ts";
import { at, audit, allFrames, type FarmTask } from "../support/rules-farm.ts";
import { ledgerText } from "./canonical.ts";
import { fileOf } from "./manager.ts";
import { Broken } from "./promises.ts";
import { blendersOf, copyOf, type Configuration, type Snapshot, type World } from "./world.ts";

const GIVEN_BACK: GivenBack = { cause: "stopping", reason: "x", frames: null };
/** No continuation needs more leases than this for a frame. */
const LEASES_PER_FRAME = 3;

export class States {
  readonly #configuration: Configuration;
  readonly #terms: Terms;
  readonly #seen = new Set<string>();

  constructor(configuration: Configuration, terms: Terms) {
    this.#configuration = configuration;
    this.#terms = terms;
  }

  /** Different ledgers checked. */
  get ledgers(): number {
    return this.#seen.size;
  }

  /** Throws `Broken` where the state breaks a promise. */
  check(world: World): void {
    if (world.objects) this.#objects(world, world.objects);
    const text = ledgerText(world.memory, world.nowMs, this.#configuration.tickMs);
    if (this.#seen.has(text)) return;
    this.#seen.add(text);
    this.#audit(world.memory);
    const { ledger, entries } = world.memory;
    const plain = { ledger: { ...ledger, leases: [...ledger.leases] }, entries };
    if (!isDeepStrictEqual(JSON.parse(JSON.stringify(world.memory)), plain))
      throw new Broken("P4", "the ledger does not come back from its row as it was");
    this.#strangers(world.memory, world.nowMs);
    this.#finishes(world.memory, world.nowMs, "answered");
    this.#finishes(world.memory, world.nowMs, "silent");
  }

  #task(snapshot: Snapshot): FarmTask {
    const { ledger, entries } = copyOf(snapshot);
    const map = new Map(Object.entries(entries).map(([frame, entry]) => [Number(frame), entry]));
    return { terms: this.#terms, ledger, entries: map, events: [], canceled: [] };
  }

  #audit(snapshot: Snapshot): void {
    try {
      audit(this.#task(snapshot));
    } catch (error) {
      const message = (error as Error).message;
      throw new Broken(/^P\d+/.exec(message)?.[0] ?? "P1", message.replace(/^P\d+: /, ""));
    }
  }

  /** P2, P9, P10: a call that is wrong in any one thing is refused and changes nothing. */
  #strangers(snapshot: Snapshot, nowMs: number): void {
    if ([...snapshot.ledger.leases].some((lease) => lease.until_ms <= nowMs)) return;
    for (const lease of snapshot.ledger.leases) {
      const right: LeaseRef = { worker: lease.worker, leaseId: lease.lease_id, attempt: lease.attempt };
      const wrong: [string, LeaseRef][] = [
        ["another worker", { ...right, worker: lease.worker === 1 ? 2 : 1 }],
        ["another lease's id", { ...right, leaseId: "L0" }],
        ["an earlier attempt", { ...right, attempt: lease.attempt - 1 }],
        ["a later attempt", { ...right, attempt: lease.attempt + 1 }],
      ];
      const done = [...frames(lease.frames)].map((frame) => doneOf(frame, lease.lease_id));
      const open = [...frames(lease.open)];
      for (const [what, ref] of wrong) {
        this.#refused(snapshot, nowMs, "lease_lost", `renew by ${what}`, (t) => renew(t, ref, done));
        this.#refused(snapshot, nowMs, "lease_lost", `release by ${what}`, (t) => release(t, ref, [], GIVEN_BACK));
        this.#refused(snapshot, nowMs, "lease_lost", `fail by ${what}`, (t) => fail(t, ref, [], open.slice(0, 1), "x"));
        // The frames may have failed under the earlier attempt for their colour: then this repeats its completion.
        const isRepeat = done.every(({ frame }) => {
          const entry = snapshot.entries[frame];
          return entry?.one_colour === "told" && entry.attempt === ref.attempt && entry.worker === ref.worker;
        });
        if (open.length > 0 && !isRepeat)
          this.#refused(snapshot, nowMs, "lease_lost", `complete by ${what}`, (t) => complete(t, ref, done));
      }
      this.#badContent(snapshot, nowMs, lease, right, done, open);
      const other = lease.worker === 1 ? 2 : 1;
      const blenders = blendersOf(this.#configuration, other);
      const stolen = claim(at(this.#task(snapshot), nowMs), {
        worker: other,
        key: lease.key,
        epoch: 9,
        blenders,
        leaseId: "L0",
      });
      if (stolen.lease?.lease_id === lease.lease_id)
        throw new Broken("P9", "a worker got the lease of another by its key");
    }
    for (const [frame, entry] of Object.entries(snapshot.entries)) {
      if (entry.state !== "done") continue;
      const done = [doneOf(Number(frame), entry.files[0]!.sha256)];
      const other = { worker: entry.worker === 1 ? 2 : 1, leaseId: "L0", attempt: entry.attempt };
      const wrong = { worker: entry.worker, leaseId: "L0", attempt: entry.attempt + 1 };
      this.#refused(snapshot, nowMs, "lease_lost", "the repetition by another worker", (t) => complete(t, other, done));
      this.#refused(snapshot, nowMs, "lease_lost", "the repetition under another attempt", (t) =>
        complete(t, wrong, done),
      );
      const nothing = { worker: entry.worker, leaseId: "L0", attempt: entry.attempt };
      this.#refused(snapshot, nowMs, "lease_lost", "the repetition of nothing", (t) => complete(t, nothing, []));
    }
  }

  #badContent(
    snapshot: Snapshot,
    nowMs: number,
    lease: LiveLease,
    ref: LeaseRef,
    done: readonly RenderedFrame[],
    open: readonly number[],
  ): void {
    const invalid = (
      what: string,
      change: (t: Transition) => ReturnType<typeof complete | typeof renew | typeof fail>,
    ) => this.#refused(snapshot, nowMs, "invalid", what, change);
    if (open.length > 0) {
      const part = done.filter((item) => item.frame !== open[0]);
      invalid("complete that leaves out a frame", (t) => complete(t, ref, part));
      const bare = done.map((item) => (item.frame === open[0] ? { ...item, files: [] } : item));
      invalid("complete without a file", (t) => complete(t, ref, bare));
      invalid("renew without a file", (t) => renew(t, ref, bare));
      invalid("complete with a frame twice", (t) => complete(t, ref, [...done, done[0]!]));
      invalid("fail of a frame it names done", (t) => fail(t, ref, done, open.slice(0, 1), "x"));
    }
    const foreign = doneOf(99, lease.lease_id);
    invalid("renew with a frame of somebody else", (t) => renew(t, ref, [...done, foreign]));
    invalid("release with a frame of somebody else", (t) => release(t, ref, [...done, foreign], GIVEN_BACK));
    invalid("fail of a frame of somebody else", (t) => fail(t, ref, [], [99], "x"));
  }

  #refused(
    snapshot: Snapshot,
    nowMs: number,
    code: string,
    what: string,
    change: (t: Transition) => { ok: boolean; error?: { code: string } },
  ): void {
    const task = this.#task(snapshot);
    const result = change(at(task, nowMs));
    const promise = code === "invalid" ? (what.includes("file") ? "P11" : "P10") : "P2";
    if (result.ok) throw new Broken(promise, `${what} was accepted`);
    if (result.error!.code !== code)
      throw new Broken(promise, `${what} was answered ${result.error!.code}, not ${code}`);
    const after: Snapshot = { ledger: task.ledger, entries: Object.fromEntries(task.entries) };
    const { tickMs } = this.#configuration;
    const same =
      ledgerText(after, nowMs, tickMs) === ledgerText(snapshot, nowMs, tickMs) &&
      JSON.stringify([after.ledger.counts, after.ledger.attempt]) ===
        JSON.stringify([snapshot.ledger.counts, snapshot.ledger.attempt]) &&
      task.events.length === 0;
    if (!same) throw new Broken(promise, `${what} was refused and changed the task`);
  }

  /**
   * Liveness: from every state the task can still finish. Its live leases are completed, or their
   * workers fall silent; then people let it run, and workers that succeed take what is left. People
   * are needed only for what people or failures have stopped.
   */
  #finishes(snapshot: Snapshot, fromMs: number, workers: "answered" | "silent"): void {
    const task = this.#task(snapshot);
    const { ledger } = task;
    let nowMs = fromMs;
    // What the task waits for is done in the end.
    for (const { task: id } of ledger.dependencies)
      applyDependencyProgress(at(task, nowMs), {
        id,
        version: Number.MAX_SAFE_INTEGER,
        state: "completed",
        done: null,
      });
    const last = Math.max(0, ...[...ledger.leases].map((lease) => lease.until_ms));
    if (workers === "silent" && last > 0) {
      nowMs = Math.max(nowMs, last);
      expire(at(task, nowMs));
      if (ledger.leases.size > 0 || countsOf(this.#terms, ledger).leased > 0)
        throw new Broken("P5", "a silent worker keeps its frames after the lease");
    }
    for (const lease of [...ledger.leases].filter((l) => l.until_ms > nowMs)) this.#completes(task, nowMs, lease);
    if (workers === "silent" || [...task.ledger.leases].some((l) => l.until_ms <= nowMs)) expire(at(task, nowMs));
    const stuck = ledger.paused || ledger.canceled || ledger.stopped !== null || ledger.counts.failed > 0;
    for (let leases = 0; statusOf(this.#terms, ledger) !== "completed";) {
      const able = this.#configuration.able.at(-1)!;
      if (stuck) {
        const status = statusOf(this.#terms, ledger);
        if (status === "canceled" || status === "failed") act(at(task, nowMs), allFrames(task), "requeue", {}, "x");
        if (ledger.paused) act(at(task, nowMs), allFrames(task), "resume", {}, "x");
      }
      if (statusOf(this.#terms, ledger) === "completed") break;
      let waitMs = Infinity;
      const before = leases;
      for (let worker = 1; worker <= able; worker++) {
        const key = `finish-${worker}-${leases}`;
        const blenders = blendersOf(this.#configuration, worker);
        const request = { worker, key, epoch: ledger.outranked, blenders, leaseId: key };
        const outcome = claim(at(task, nowMs, able), request);
        if (outcome.lease) {
          if (++leases > LEASES_PER_FRAME * this.#terms.total)
            throw new Broken("liveness", "leases go out and the task does not end");
          this.#completes(task, nowMs, outcome.lease);
        } else waitMs = Math.min(waitMs, outcome.retryAfterMs ?? Infinity);
      }
      if (leases > before) continue;
      if (waitMs < Infinity) nowMs += Math.max(1, waitMs);
      if (waitMs === Infinity || nowMs > fromMs + 1e8)
        throw new Broken("liveness", `the task can no longer finish: ${JSON.stringify(countsOf(this.#terms, ledger))}`);
    }
    this.#audit({ ledger, entries: Object.fromEntries(task.entries) });
  }

  #completes(task: FarmTask, nowMs: number, lease: LiveLease): void {
    const ref = { worker: lease.worker, leaseId: lease.lease_id, attempt: lease.attempt };
    const done = [...frames(lease.frames)].map((frame) => doneOf(frame, lease.lease_id));
    const result = complete(at(task, nowMs), ref, done);
    if (!result.ok) throw new Broken("liveness", `a live lease cannot be completed: ${result.error.detail}`);
  }

  /**
   * P3: the bytes of every done frame are stored; and when no lease, garbage or grant is left,
   * nothing else is.
   */
  #objects({ memory, nowMs, workers }: World, objects: Readonly<Record<string, string>>): void {
    const { ledger, entries } = memory;
    const wanted = new Set<string>();
    for (const [frame, entry] of Object.entries(entries)) {
      if (entry.state !== "done") continue;
      const key = `${entry.attempt}/${frame}`;
      wanted.add(key);
      if (objects[key] !== entry.files[0]!.sha256)
        throw new Broken("P3", `frame ${frame} is done and its object is gone`);
    }
    const quiet = ledger.leases.size === 0 && ledger.sweeps.length === 0;
    if (!quiet || workers.some((worker) => worker.held && worker.held.grantMs > nowMs)) return;
    const orphan = Object.keys(objects).find((key) => !wanted.has(key));
    if (orphan !== undefined) throw new Broken("garbage", `object ${orphan} is no frame's result and stays`);
  }
}

function doneOf(frame: number, leaseId: string): RenderedFrame {
  return { frame, seconds: 0, files: [fileOf(frame, leaseId)] };
}
