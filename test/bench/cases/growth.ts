/**
 * Whether a claim costs the same in a small farm and in a large one: time, rows read, rows written.
 * Small and large alternate.
 */
import type { Case, Row } from "../case.ts";
import { duration, median, short } from "../numbers.ts";
import type { Claims, CountedOrder } from "../order.ts";
import { startCounted, type Runtime } from "../runtime.ts";

const ROUNDS = 14;
const CLAIMS = 6;
/** The most that the largest farm may cost, as a multiple of the smallest. */
const GOAL = 1.2;
const MOST_ROWS_READ = 10;

export const growth: Case = {
  name: "growth",
  async run(progress) {
    const runtime = await startCounted();
    try {
      const rows: Row[] = [];
      progress("frames in a task");
      const byFrames = new Map<number, CountedOrder>();
      for (const frames of [100, 1_000, 10_000, 100_000, 1_000_000]) {
        const task = await runtime.count<number>({ do: "make task", frames });
        byFrames.set(frames, { do: "claims", task, workers: 1, claims: CLAIMS });
      }
      rows.push(await compare(runtime, "frames in a task", byFrames));
      progress("tasks in the registry");
      rows.push(
        await compare(runtime, "tasks in the registry", await registries(runtime, "tasks", [10, 1_000, 100_000])),
      );
      progress("workers in the registry");
      rows.push(
        await compare(runtime, "workers in the registry", await registries(runtime, "workers", [10, 1_000, 10_000])),
      );
      progress("workers on one task");
      const byLeases = new Map<number, CountedOrder>();
      for (const workers of [10, 1_000, 10_000]) {
        const task = await runtime.count<number>({ do: "make task", frames: 100_000 });
        byLeases.set(workers, { do: "claims", task, workers, claims: CLAIMS });
      }
      rows.push(await compare(runtime, "workers with a lease on one task", byLeases));
      return rows;
    } finally {
      await runtime.stop();
    }
  },
};

async function registries(
  runtime: Runtime,
  what: "tasks" | "workers",
  sizes: number[],
): Promise<Map<number, CountedOrder>> {
  const orders = new Map<number, CountedOrder>();
  for (const size of sizes) {
    const name = `${what}-${size}`;
    await runtime.count({ do: "make registry", name, tasks: 10, workers: 10, [what]: size });
    orders.set(size, { do: "asks", name, claims: CLAIMS });
  }
  return orders;
}

async function compare(runtime: Runtime, what: string, orders: Map<number, CountedOrder>): Promise<Row> {
  const times = new Map<number, number[]>();
  const costs = new Map<number, Claims[]>();
  for (const [size, order] of orders) {
    // This call takes the leases of all other workers, and warms up code and pages.
    await runtime.count(order);
    times.set(size, []);
    costs.set(size, []);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [size, order] of orders) {
      const began = performance.now();
      const claims = await runtime.count<Claims>(order);
      times.get(size)!.push((performance.now() - began) / CLAIMS);
      costs.get(size)!.push(claims);
    }
  }
  const sizes = [...orders.keys()];
  const [small, large] = [sizes[0]!, sizes.at(-1)!];
  const perClaim = (size: number, of: (claims: Claims) => number): number =>
    costs.get(size)!.reduce((sum, claims) => sum + of(claims), 0) / ROUNDS / CLAIMS;
  const ratio = median(times.get(large)!.map((ms, round) => ms / times.get(small)![round]!));
  const read = (size: number): number => perClaim(size, (claims) => claims.rowsRead);
  const written = (size: number): number => perClaim(size, (claims) => claims.rowsWritten);
  const most = Math.max(...sizes.map(read));
  const flat = (a: number, b: number): boolean => b <= Math.max(a * GOAL, a + 0.5);
  return {
    what: `cost growth: ${what}, ${short(small)} → ${large.toLocaleString("en-US")}`,
    figure: `time × ${ratio.toFixed(2)}, ${short(most)} rows read`,
    goal: `≤ × ${GOAL}, ≤ ${MOST_ROWS_READ} rows read`,
    reached:
      ratio <= GOAL && most <= MOST_ROWS_READ && flat(read(small), read(large)) && flat(written(small), written(large)),
    detail: sizes
      .map(
        (size) =>
          `${size.toLocaleString("en-US")}: ${duration(median(times.get(size)!))}, ${short(read(size))} read, ${short(written(size))} written`,
      )
      .join("; "),
  };
}
