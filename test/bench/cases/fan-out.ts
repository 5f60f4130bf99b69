/**
 * Two hundred pages on one task while it is hot, compared with a task that no page watches:
 * alternately, in one process.
 */
import { setTimeout } from "node:timers/promises";
import { WebSocket } from "ws";
import { LIVE_EVERY_MS } from "../../../src/protocol/live.ts";
import type { Case, Row } from "../case.ts";
import { median, percent, short } from "../numbers.ts";
import { ADMIN_TOKEN, startRuntime } from "../runtime.ts";

const PAGES = 200;
const WORKERS = 32;
const CYCLES = 5;
/**
 * Orders in a round: it takes longer than the time between two messages, and timers can run between
 * orders.
 */
const ORDERS = 40;
const WARM_UP = 1;
const ROUNDS = 24;
const ROUNDS_MIN = 5;
const BUDGET_MS = 30_000;
/** After a round, wait until its last messages are sent, before the other one begins. */
const LAST_MESSAGE_MS = 3 * LIVE_EVERY_MS;
const GOAL = 0.1;

export const fanOut: Case = {
  name: "fan-out",
  async run() {
    const runtime = await startRuntime();
    const pages: WebSocket[] = [];
    let messages = 0;
    try {
      const make = async (): Promise<number> => {
        const task = await runtime.submit({ type: "demo_render", settings: { frames: "1-1000000" }, chunk: 1 });
        await runtime.drive({ do: "claim", task, workers: WORKERS });
        return task;
      };
      const [watched, alone] = [await make(), await make()];
      const cycle = async (task: number): Promise<number> => {
        let ms = 0;
        for (let i = 0; i < ORDERS; i++)
          ms += await runtime.drive({ do: "cycle", task, workers: WORKERS, cycles: CYCLES });
        return ms;
      };
      for (let i = 0; i < WARM_UP; i++) for (const task of [watched, alone]) await cycle(task);
      const address = new URL(`/tasks/${watched}/live`, runtime.manager);
      address.protocol = "ws:";
      for (let i = 0; i < PAGES; i++) pages.push(await open(address, () => messages++));
      const slower: number[] = [];
      const rates: number[] = [];
      const endMs = performance.now() + BUDGET_MS;
      messages = 0;
      while (slower.length < ROUNDS && (slower.length < ROUNDS_MIN || performance.now() < endMs)) {
        // The two take turns in going first.
        const first = slower.length % 2 === 0 ? await cycle(alone) : null;
        const with200 = await cycle(watched);
        await setTimeout(LAST_MESSAGE_MS);
        const without = first ?? (await cycle(alone));
        slower.push(with200 / without - 1);
        rates.push(((WORKERS * CYCLES * ORDERS) / with200) * 1_000);
      }
      const slow = median(slower);
      const row: Row = {
        what: `dashboard fan-out: ${PAGES} pages on one task`,
        figure: slow < 0 ? "not slower" : `${percent(slow)} slower`,
        goal: `≤ ${percent(GOAL)} slower`,
        reached: slow <= GOAL,
        detail: `median of ${slower.length} rounds, ${short(median(rates))} calls/s; ${messages.toLocaleString("en-US")} messages arrived meanwhile`,
      };
      return [row];
    } finally {
      for (const page of pages) page.terminate();
      await runtime.stop();
    }
  },
};

async function open(address: URL, onMessage: () => void): Promise<WebSocket> {
  const page = new WebSocket(address, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    perMessageDeflate: false,
  });
  page.on("message", onMessage);
  await new Promise((resolve, reject) => {
    page.once("open", resolve);
    page.once("error", reject);
  });
  return page;
}
