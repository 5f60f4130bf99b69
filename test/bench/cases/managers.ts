/**
 * Manager against manager: Flamenco 3's own and ours, on one machine, alternately, over HTTP, with
 * more and more queued tasks. A poll is a free worker that asks until it has a task; a pair is the
 * end of a task and the start of the next.
 *
 * `FLAMENCO_MANAGER` names a built `flamenco-manager`; without it the line is not run.
 */
import http from "node:http";
import type { Claimed, Lease, Settled } from "../../../src/protocol/lease.ts";
import type { WorkerPatched } from "../../../src/protocol/worker.ts";
import { notRun, type Case, type Row } from "../case.ts";
import { duration, median, quantile, short } from "../numbers.ts";
import { request } from "../request.ts";
import { startRuntime, type Runtime } from "../runtime.ts";
import { signed } from "../sign.ts";
import { FlamencoSide } from "./flamenco-manager.ts";
import type { Side } from "./side.ts";

const WORKERS = 8;
const SIZES = [1_000, 25_000, 100_000];
const ROUNDS = 8;
const ROUNDS_MIN = 3;
/** Time for each size. */
const BUDGET_MS = 15_000;
/** The required lead at the largest size; at the others any lead is enough. */
const TIMES = 20;

export const managers: Case = {
  name: "managers",
  async run(progress) {
    const program = process.env["FLAMENCO_MANAGER"];
    if (!program) {
      const why = "FLAMENCO_MANAGER does not name a built flamenco-manager";
      return [notRun("manager against manager: Flamenco 3's own", why, `ahead at every size, ≥ ${TIMES} × at 100,000`)];
    }
    const ours = await TablaoSide.start();
    const theirs = await FlamencoSide.start(program, WORKERS);
    try {
      const rows: Row[] = [];
      let queued = 0;
      for (const size of SIZES) {
        for (; queued < size; queued += 1_000) await Promise.all([ours.addThousand(), theirs.addThousand()]);
        progress(`${size} queued tasks`);
        rows.push(await compare(size, ours, theirs));
      }
      return rows;
    } finally {
      await theirs.stop();
      await ours.stop();
    }
  },
};

interface Times {
  /** Times of each poll. */
  polls: number[];
  /** Times of each round of polls, and of pairs. */
  pollRounds: number[];
  pairRounds: number[];
}

async function compare(size: number, ours: Side, theirs: Side): Promise<Row> {
  const times = { ours: noTimes(), theirs: noTimes() };
  await round(ours, noTimes());
  await round(theirs, noTimes());
  const endMs = performance.now() + BUDGET_MS;
  for (let n = 0; n < ROUNDS && (n < ROUNDS_MIN || performance.now() < endMs); n++) {
    await round(ours, times.ours);
    await round(theirs, times.theirs);
  }
  const ratioOf = (of: (times: Times) => number[]): number =>
    median(of(times.ours).map((ms, n) => of(times.theirs)[n]! / ms));
  const polls = ratioOf((one) => one.pollRounds);
  const pairs = ratioOf((one) => one.pairRounds);
  const atLeast = size === SIZES.at(-1) ? TIMES : 1;
  const perSecond = (rounds: number[]): string => short((WORKERS / median(rounds)) * 1_000);
  const p99 = (one: Times): string => duration(quantile(one.polls, 0.99));
  return {
    what: `manager against manager: ${size.toLocaleString("en-US")} queued tasks`,
    figure: `polls × ${short(polls)}, pairs × ${short(pairs)}`,
    goal: atLeast === 1 ? "ahead of Flamenco 3's own" : `≥ ${atLeast} ×`,
    reached: polls > atLeast && pairs > atLeast,
    detail: `polls/s ${perSecond(times.ours.pollRounds)} against ${perSecond(times.theirs.pollRounds)}, p99 ${p99(times.ours)} against ${p99(times.theirs)}; assign + complete pairs/s ${perSecond(times.ours.pairRounds)} against ${perSecond(times.theirs.pairRounds)}; ${WORKERS} workers at once, median of ${times.ours.pollRounds.length} rounds`,
  };
}

function noTimes(): Times {
  return { polls: [], pollRounds: [], pairRounds: [] };
}

/** All workers poll, all do a pair, all complete. */
async function round(side: Side, times: Times): Promise<void> {
  times.pollRounds.push(
    await together(async (worker) => {
      const began = performance.now();
      await side.poll(worker);
      times.polls.push(performance.now() - began);
    }),
  );
  times.pairRounds.push(await together((worker) => side.completeAndPoll(worker)));
  await together((worker) => side.complete(worker));
}

async function together(each: (worker: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => each(worker)));
  return performance.now() - began;
}

class TablaoSide implements Side {
  readonly #runtime: Runtime;
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #workers: { id: number; token: string; lease: Lease | null; epoch: number }[] = [];

  private constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  static async start(): Promise<TablaoSide> {
    const side = new TablaoSide(await startRuntime());
    for (let n = 0; n < WORKERS; n++) {
      const machine = { hostname: `worker-${n}`, system: "Linux", platform: "linux", programs: { "tablao-tool": "1" } };
      const registered = await side.#runtime.admin("POST", "/workers", machine);
      const [{ id }] = Object.values(registered as Record<string, { id: number }>) as [{ id: number }];
      const claims = { p: { role: "worker", id, name: `worker:${id}` }, exp_ms: Date.now() + 3_600_000 };
      side.#workers.push({ id, token: signed("access", claims), lease: null, epoch: 0 });
    }
    return side;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.#runtime.stop();
  }

  async addThousand(): Promise<void> {
    await this.#runtime.submit({ type: "print_string", settings: { text: "x", frames: "1-1000" }, chunk: 1 });
  }

  /** A free worker asks the registry which task to serve, and claims a frame of it. */
  async poll(worker: number): Promise<void> {
    const self = this.#workers[worker]!;
    const asked = (await this.#call(worker, "PATCH", `/workers/${self.id}`, { status: "available" })) as WorkerPatched;
    self.epoch = asked.epoch;
    const claimed = (await this.#call(
      worker,
      "POST",
      `/tasks/${asked.task_id}/leases`,
      this.#claim(worker),
    )) as Claimed;
    if (!claimed.lease) throw new Error(`no lease: ${claimed.reason}`);
    self.lease = claimed.lease;
  }

  async complete(worker: number): Promise<void> {
    await this.#complete(worker, null);
  }

  async completeAndPoll(worker: number): Promise<void> {
    const settled = await this.#complete(worker, this.#claim(worker));
    if (!settled.next?.lease) throw new Error(`no next lease: ${settled.next?.reason}`);
    this.#workers[worker]!.lease = settled.next.lease;
  }

  async #complete(worker: number, next: object | null): Promise<Settled> {
    const { task_id, lease_id, attempt, frames } = this.#workers[worker]!.lease!;
    const done = [{ frame: Number(frames), seconds: 1, receipts: [] }];
    const path = `/tasks/${task_id}/leases/${lease_id}/complete`;
    return (await this.#call(worker, "POST", path, { attempt, done, next })) as Settled;
  }

  #claim(worker: number) {
    return { key: crypto.randomUUID(), platform: "linux", epoch: this.#workers[worker]!.epoch };
  }

  async #call(worker: number, method: string, path: string, json: object): Promise<unknown> {
    const authorization = `Bearer ${this.#workers[worker]!.token}`;
    return JSON.parse(
      await request(this.#agent, method, new URL(path, this.#runtime.manager), { authorization }, json),
    );
  }
}
