/**
 * How long one page of a search holds the registry, which serves nobody else meanwhile: a second
 * connection asks the registry for its settings all the time, alone and while a search that matches
 * nothing goes through 100,000 tasks, in turns. What the search adds to that call is the time for
 * which it found the registry held; all of the manager runs in one thread here, so the Worker's own
 * part of a page is in it, too.
 */
import http from "node:http";
import { childrenOf, cpuMs } from "../../support/cpu.ts";
import { taskListSchema, taskSchema } from "../../../src/protocol/task.ts";
import { until } from "../../support/wait.ts";
import type { Case, Row } from "../case.ts";
import { duration, median, quantile, short } from "../numbers.ts";
import { request } from "../request.ts";
import { ADMIN_TOKEN, startRuntime, type Runtime } from "../runtime.ts";

const TASKS = 100_000;
const WARM_UP = 2;
const ROUNDS = 12;
/** Calls of the second connection in each half of a round. */
const CALLS = 100;
/** Pages of the search alone in each round. */
const PAGES = 50;
const GOAL_MS = 10;

export const search: Case = {
  name: "search",
  async run(progress) {
    const runtime = await startRuntime({ manager: "test/bench/workerd/filled.ts" });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
    try {
      progress(`filling a registry with ${TASKS.toLocaleString("en-US")} tasks`);
      await fill(runtime);
      const get = async (where: string): Promise<string> =>
        await request(agent, "GET", new URL(where, runtime.manager), { authorization: `Bearer ${ADMIN_TOKEN}` });
      const pages = endlessSearch(get);
      const alone: number[] = [];
      const beside: number[] = [];
      const page: number[] = [];
      const pids = childrenOf(process.pid);
      const cpu = { alone: 0, page: 0 };
      for (let round = -WARM_UP; round < ROUNDS; round++) {
        const from = cpuMs(pids);
        const quiet = await timesOf(CALLS, () => get("/settings"));
        const between = cpuMs(pids);
        const searched = await timesOf(PAGES, pages);
        const to = cpuMs(pids);
        const searching = repeat(pages);
        const busy = await timesOf(CALLS, () => get("/settings"));
        await searching.stop();
        if (round < 0) continue;
        cpu.alone += between - from;
        cpu.page += to - between;
        alone.push(...quiet);
        page.push(...searched);
        beside.push(...busy);
      }
      const added = (q: number): number => quantile(beside, q) - quantile(alone, q);
      const of = (times: number[]): string =>
        `${short(median(times))} ms (99 % within ${short(quantile(times, 0.99))})`;
      const row: Row = {
        what: `search that matches nothing of ${TASKS.toLocaleString("en-US")} tasks: how long a page holds the registry`,
        figure: `${short(added(0.5))} ms, 99 % within ${short(added(0.99))} ms`,
        goal: `≤ ${GOAL_MS} ms`,
        reached: added(0.5) <= GOAL_MS && added(0.99) <= GOAL_MS,
        detail: `what it adds to another call to the registry: ${of(alone)} alone, ${of(beside)} beside the search, × ${short(median(beside) / median(alone))}; a page of the search alone ${of(page)}, × ${short(median(page) / median(alone))}; CPU of the runtime ${short(cpu.page / page.length)} ms a page, ${short(cpu.alone / alone.length)} ms another call; all ${pages.count()} pages ${duration(median(page) * pages.count())}; ${alone.length} calls each, in ${ROUNDS} turns`,
      };
      return [row];
    } finally {
      agent.destroy();
      await runtime.stop();
    }
  },
};

/** One task that has ended, as the manager itself reports it, and copies of it. */
async function fill(runtime: Runtime): Promise<void> {
  const body = {
    type: "demo_render",
    name: "KITE_sh0220_fx_v011",
    settings: { frames: "1-240" },
    tags: ["gpu"],
    paused: true,
  };
  const { id } = taskSchema.parse(await runtime.admin("POST", "/tasks", body));
  await runtime.admin("PATCH", `/tasks/${id}`, { status: "cancel" });
  const isListed = async (): Promise<boolean> => {
    const { tasks } = taskListSchema.parse(await runtime.admin("GET", "/tasks?state=ended"));
    return tasks.length === 1;
  };
  await until(isListed, { what: "the registry knows that the task has ended" });
  await runtime.admin("POST", "/copies", { tasks: TASKS });
}

/** Each call asks for the next page; after the last one, for the first again. */
function endlessSearch(get: (where: string) => Promise<string>): (() => Promise<void>) & { count: () => number } {
  let cursor: string | null = null;
  let pages = 0;
  let whole = 0;
  const next = async (): Promise<void> => {
    const after = cursor === null ? "" : `&cursor=${cursor}`;
    const answer = taskListSchema.parse(JSON.parse(await get(`/tasks?search=zebra&limit=100${after}`)));
    if (answer.tasks.length > 0) throw new Error("the search matches a task");
    ({ cursor } = answer);
    pages++;
    if (cursor !== null) return;
    whole = pages;
    pages = 0;
  };
  /** The pages of a whole search. */
  const count = (): number => {
    if (whole === 0) throw new Error("no search came to its end");
    return whole;
  };
  return Object.assign(next, { count });
}

async function timesOf(calls: number, call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < calls; n++) {
    const began = performance.now();
    await call();
    times.push(performance.now() - began);
  }
  return times;
}

/** Call again and again, one after another, until `stop`, which throws what a call threw. */
function repeat(call: () => Promise<void>): { stop: () => Promise<void> } {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) await call();
  })();
  // It is thrown by `stop`; until then, it must not end the process.
  running.catch(() => undefined);
  return {
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
}
