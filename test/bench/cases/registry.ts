/**
 * The registry, which is one object for the whole farm: task switches a second, compared with the
 * bare object. See `docs/scaling.md`.
 */
import { childrenOf, cpuMs } from "../../support/cpu.ts";
import type { Case, Row } from "../case.ts";
import { median, percent, short } from "../numbers.ts";
import { startRuntime } from "../runtime.ts";

const WORKERS = 32;
const CALLS = 6;
const WARM_UP = 5;
const ROUNDS = 40;
const ROUNDS_MIN = 9;
const BUDGET_MS = 15_000;
/**
 * Bytes of a row. A bare call writes two rows and a switch one, so this line has no goal and only
 * measures.
 */
const TEXT = "x".repeat(400);

export const registry: Case = {
  name: "registry",
  async run() {
    const runtime = await startRuntime();
    try {
      const workers: number[] = [];
      for (let n = 0; n < WORKERS; n++) {
        const machine = { hostname: `box-${n}`, system: "Linux", programs: { "tablao-tool": "1" } };
        const registered = (await runtime.admin("POST", "/workers", machine)) as Record<string, { id: number }>;
        workers.push(Object.values(registered)[0]!.id);
      }
      for (let n = 0; n < 4; n++)
        await runtime.submit({ type: "print_string", settings: { text: "x", frames: "1-100000" }, chunk: 1 });
      const pids = childrenOf(process.pid);
      const times = { ours: [] as number[], bare: [] as number[] };
      const cpu = { ours: 0, bare: 0 };
      const endMs = performance.now() + BUDGET_MS;
      for (let round = -WARM_UP; round < ROUNDS; round++) {
        if (times.ours.length >= ROUNDS_MIN && performance.now() > endMs) break;
        const from = cpuMs(pids);
        const ask = await runtime.drive({ do: "ask", workers, calls: CALLS });
        const between = cpuMs(pids);
        const write = await runtime.drive({ do: "bare", callers: WORKERS, calls: CALLS, text: TEXT });
        if (round < 0) continue;
        cpu.ours += between - from;
        cpu.bare += cpuMs(pids) - between;
        times.ours.push(ask);
        times.bare.push(write);
      }
      const calls = WORKERS * CALLS;
      const ratio = median(times.ours.map((ms, n) => times.bare[n]! / ms));
      const perSecond = (all: number[]): string => short((calls / median(all)) * 1_000);
      const each = (ms: number): number => (ms / times.ours.length / calls) * 1_000;
      const row: Row = {
        what: "the registry: task switches",
        figure: `${perSecond(times.ours)}/s, ${percent(ratio)} of a bare object`,
        goal: "none set",
        reached: true,
        detail: `median of ${times.ours.length} rounds, ${WORKERS} workers at once, another task each time; a bare object ${perSecond(times.bare)}/s; CPU of the whole runtime ${short(each(cpu.ours))} µs a switch against ${short(each(cpu.bare))}`,
      };
      return [row];
    } finally {
      await runtime.stop();
    }
  },
};
