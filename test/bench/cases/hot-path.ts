/**
 * The hot path compared with the platform: complete-and-next on one task's object, one frame per
 * lease, 32 workers, over RPC from inside the runtime; against a bare object that writes two rows
 * per call. In one process, alternately, in many short rounds.
 */
import { existsSync } from "node:fs";
import { childrenOf, cpuMs } from "../../support/cpu.ts";
import type { Case, Row } from "../case.ts";
import { median, percent, short } from "../numbers.ts";
import { startRuntime } from "../runtime.ts";

const WORKERS = 32;
const CYCLES = 8;
const WARM_UP = 8;
/**
 * Rounds end when there are `ROUNDS`, or when the time is up and there are at least the minimum.
 */
const ROUNDS = 80;
const ROUNDS_MIN = 9;
const BUDGET_MS = 25_000;
/** Bytes of the bare object's two rows: together about what a transition of ours writes. */
const TEXT = "x".repeat(540);
const GOAL = 0.75;

/**
 * A file system in memory, where there is one. A disk slower than both would hide their difference.
 */
const IN_MEMORY = "/dev/shm";

export const hotPath: Case = {
  name: "hot-path",
  async run() {
    const rows = [await measure("hot path against the platform")];
    if (existsSync(IN_MEMORY)) rows.push(await measure("the same with all state in memory", IN_MEMORY));
    return rows;
  },
};

async function measure(what: string, folder?: string): Promise<Row> {
  const runtime = await startRuntime({ folder });
  try {
    const task = await runtime.submit({ type: "demo_render", settings: { frames: "1-1000000" }, chunk: 1 });
    await runtime.drive({ do: "claim", task, workers: WORKERS });
    const pids = childrenOf(process.pid);
    const calls = WORKERS * CYCLES;
    const ours: Sample[] = [];
    const bare: Sample[] = [];
    const endMs = performance.now() + BUDGET_MS;
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      if (ours.length >= ROUNDS_MIN && performance.now() > endMs) break;
      const cycle = await sample(pids, () => runtime.drive({ do: "cycle", task, workers: WORKERS, cycles: CYCLES }));
      const write = await sample(pids, () =>
        runtime.drive({ do: "bare", callers: WORKERS, calls: CYCLES, text: TEXT }),
      );
      if (round < 0) continue;
      ours.push(cycle);
      bare.push(write);
    }
    const ratio = median(ours.map(({ wallMs }, round) => bare[round]!.wallMs / wallMs));
    const sum = (samples: Sample[], of: (one: Sample) => number): number =>
      samples.reduce((all, one) => all + of(one), 0);
    const cpu = (samples: Sample[]): number => (sum(samples, (one) => one.cpuMs) / calls / samples.length) * 1_000;
    const perSecond = (samples: Sample[]): string => short((calls / median(samples.map((one) => one.wallMs))) * 1_000);
    const row: Row = {
      what,
      figure: percent(ratio),
      goal: "≥ 75 % of a bare object's throughput",
      reached: ratio >= GOAL,
      detail: `median of ${ours.length} rounds; ${perSecond(ours)}/s against ${perSecond(bare)}/s; CPU of the whole runtime ${short(cpu(ours))} µs a call against ${short(cpu(bare))} (${percent(cpu(bare) / cpu(ours))})`,
    };
    return row;
  } finally {
    await runtime.stop();
  }
}

interface Sample {
  wallMs: number;
  cpuMs: number;
}

async function sample(pids: readonly number[], run: () => Promise<number>): Promise<Sample> {
  const before = cpuMs(pids);
  const wallMs = await run();
  return { wallMs, cpuMs: cpuMs(pids) - before };
}
