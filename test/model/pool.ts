/** Runs explorations in threads, a few at a time: each in a thread of its own, so that a mutation stays in its thread. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Answer, Job } from "./explorer-thread.ts";

/** A mutation that is not found by then is an error: perhaps the rules run for ever with it. */
const MUTANT_MS = 180_000;

function run(job: Job): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // Its own flags: those of a test runner would load the runner's hooks.
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

/** Every job's answer, in order. Jobs are started in order. */
export async function runAll(jobs: readonly Job[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++) answers[index] = await run(jobs[index]!);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, lane));
  return answers;
}
