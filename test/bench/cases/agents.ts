/**
 * Real agents with real processes, against the manager on workerd's own socket: how long a slot is
 * idle between two frames, how soon new work starts, and how many tiny frames a second 32 slots
 * complete.
 */
import { ManagerClient } from "../../../src/client/manager-client.ts";
import { logPageSchema, taskSchema, type LogPage } from "../../../src/protocol/task.ts";
import { timingsSchema } from "../../../src/protocol/live.ts";
import { endFarm, startAgent } from "../../support/farm.ts";
import { until } from "../../support/wait.ts";
import type { Case, Row } from "../case.ts";
import { duration, median, quantile, short } from "../numbers.ts";
import { ADMIN_TOKEN, startRuntime, type Runtime } from "../runtime.ts";

const GAP_FRAMES = 60;
const GAP_MS = 30;
const STARTS = 12;
const START_MS = 1_000;
const FRAMES = 400;
const AGENTS = 4;
const SLOTS = 8;
/**
 * Afanasy on another machine of two cores: 400 tasks, 8 agents of 4 slots, 25 s; limited by its
 * one-second heartbeat.
 */
const AFANASY_PER_SECOND = 16;
const TIMES_AFANASY = 10;

/** Prints the time at which it runs. */
const CLOCK = { program: "/bin/date", args: ["+%s%3N"] };
/** Does nothing, as Afanasy's tasks did. */
const NOTHING = { program: "/bin/true", args: [] };

export const agents: Case = {
  name: "agents",
  async run(progress) {
    const runtime = await startRuntime();
    try {
      const client = new ManagerClient({ url: runtime.manager.origin, secret: ADMIN_TOKEN });
      const manager = { url: runtime.manager.origin, client };
      const start = (name: string, slots: number) =>
        startAgent(manager, { name, args: ["--allow-exec", "--slots", String(slots), "--quiet"] });
      const first = await start("gap", 1);
      progress("slot gap");
      const gap = await slotGap(runtime, client);
      progress("start of work");
      const begun = await startOfWork(runtime, client);
      await first.stop();
      progress(`${AGENTS * SLOTS} slots`);
      for (let n = 1; n <= AGENTS; n++) await start(`box-${n}`, SLOTS);
      return [gap, begun, await throughput(runtime, client)];
    } finally {
      await endFarm();
      await runtime.stop();
    }
  },
};

async function run(runtime: Runtime, client: ManagerClient, exec: object, frames: number): Promise<number> {
  const id = await runtime.submit({ type: "exec", settings: { ...exec, frames: `1-${frames}` }, chunk: 1 });
  const ended = async (): Promise<boolean> =>
    (await client.call(taskSchema, "GET", `/tasks/${id}`)).status === "completed";
  await until(ended, { what: "the task is completed", everyMs: 50 });
  return id;
}

/**
 * When each frame's process ran: the log has one entry per attempt, and each frame has one attempt.
 */
async function startsOf(client: ManagerClient, id: number): Promise<Map<number, number>> {
  const lines: LogPage["lines"] = (await client.call(logPageSchema, "GET", `/tasks/${id}/log?limit=1000`)).lines;
  return new Map(lines.map(({ attempt, text }) => [attempt!, Number(/\d{13}/.exec(text)?.[0])]));
}

async function slotGap(runtime: Runtime, client: ManagerClient): Promise<Row> {
  const id = await run(runtime, client, CLOCK, GAP_FRAMES);
  const starts = await startsOf(client, id);
  const { frames, attempts, committed_ms } = await client.call(timingsSchema, "GET", `/tasks/${id}/timings?limit=1000`);
  const gaps = frames.slice(0, -1).map((_, i) => starts.get(attempts[i]! + 1)! - committed_ms[i]!);
  const trips: number[] = [];
  for (let i = 0; i < 200; i++) {
    const began = performance.now();
    await (await fetch(runtime.bare)).text();
    trips.push(performance.now() - began);
  }
  const above = median(gaps) - median(trips);
  return {
    what: "slot gap: commit of a frame → start of the next process",
    figure: duration(Math.max(0, above)),
    goal: `< ${GAP_MS} ms above the bare round trip`,
    reached: above < GAP_MS,
    detail: `median of ${gaps.length}, less a bare round trip of ${duration(median(trips))}; 90 % within ${duration(quantile(gaps, 0.9))}`,
  };
}

async function startOfWork(runtime: Runtime, client: ManagerClient): Promise<Row> {
  const waits: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const beganMs = Date.now();
    const id = await run(runtime, client, CLOCK, 1);
    const [started] = (await startsOf(client, id)).values();
    waits.push(started! - beganMs);
  }
  return {
    what: "start of work: submit → first process on an idle worker",
    figure: duration(median(waits)),
    goal: "< 1 s",
    reached: median(waits) < START_MS,
    detail: `median of ${waits.length}, with the socket; the slowest took ${duration(Math.max(...waits))}`,
  };
}

async function throughput(runtime: Runtime, client: ManagerClient): Promise<Row> {
  await run(runtime, client, NOTHING, AGENTS * SLOTS * 2);
  const rates: number[] = [];
  for (let i = 0; i < 3; i++) {
    const began = performance.now();
    await run(runtime, client, NOTHING, FRAMES);
    rates.push((FRAMES / (performance.now() - began)) * 1_000);
  }
  const rate = median(rates);
  return {
    what: `agents: ${AGENTS * SLOTS} slots, ${FRAMES} frames that do nothing`,
    figure: `${short(rate)} tasks/s`,
    goal: `≥ ${TIMES_AFANASY} × Afanasy's ${AFANASY_PER_SECOND}`,
    reached: rate >= TIMES_AFANASY * AFANASY_PER_SECOND,
    detail: `${short(rate / AFANASY_PER_SECOND)} ×; median of ${rates.length}; manager, ${AGENTS} agents and a process a frame share this machine; Afanasy's figure is of another machine and bound by its heartbeat of a second`,
  };
}
