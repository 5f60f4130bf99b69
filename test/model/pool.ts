/** Runs explorations, each in a thread of its own, so that a mutation of the source stays in its thread. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { HUNT } from "./configurations.ts";
import type { Answer, Explorer, Job } from "./explorer-thread.ts";
import type { Mutation } from "./mutations.ts";

/** A mutation that is not found by then is an error: with it the rules may run for ever. A found one takes seconds. */
const MUTANT_MS = 600_000;

function run(job: Job): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // No flags of the parent: those of a test runner would load the runner's hooks.
    const worker = new Worker(new URL("./explorer-thread.ts", import.meta.url), { workerData: job, execArgv: [] });
    const timer = job.mutation
      ? setTimeout(() => {
          resolve({ reports: [], error: `no end within ${MUTANT_MS / 1000} s` });
          void worker.terminate();
        }, MUTANT_MS)
      : undefined;
    worker.once("message", (answer: Answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    worker.once("error", reject);
  });
}

/** Explore each configuration to its end; answers in their order. The last ones, which take longest, are begun first. */
export async function exploreAll(
  configurations: readonly { name: string }[],
  explorer: Explorer = "explore.ts",
): Promise<Answer[]> {
  const jobs = configurations.map((configuration) => ({ explorer, configurations: [configuration], mutation: null }));
  return (await runAll(jobs.toReversed())).toReversed();
}

/** Explore with each mutation planted, until a promise is broken; answers in their order. */
export async function hunt(
  mutations: readonly Mutation[],
  configurations: readonly { name: string }[] = HUNT,
  explorer: Explorer = "explore.ts",
): Promise<Answer[]> {
  return await runAll(mutations.map((mutation) => ({ explorer, configurations, mutation })));
}

/** Every job's answer, in order. Jobs are started in order. */
async function runAll(jobs: readonly Job[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++) answers[index] = await run(jobs[index]!);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, lane));
  return answers;
}
