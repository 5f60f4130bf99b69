/** What the daily cron trigger does (`triggers` in wrangler.toml). */
import { sweepArchives } from "./files/blender-files.ts";
import { tendInputIndex } from "./files/fill-input-index.ts";
import { sweepStaleUploads } from "./files/sweep.ts";
import { deleteOn, tidyHistory } from "./history/retention.ts";
import { messageOf } from "./lib/errors.ts";
import type { BlenderBuild } from "./protocol/blender-build.ts";
import { keepDaysOf } from "./protocol/setting-rules.ts";
import { deleteExpired } from "./retention-job.ts";
import type { Env } from "./rpc/env.ts";
import { callRegistry } from "./rpc/stubs.ts";
import { wakeTasks } from "./wake-tasks.ts";

/**
 * Delete uploads that were begun and never finished, take care of the history, complete the index of
 * inputs, have tasks of earlier releases count what they store, delete tasks that have expired, archives of
 * Blender that no build names, and
 * remove workers that are not seen any more. A job that fails keeps no other from its work. Throws in the end, so that the platform shows it. (Inputs
 * that nothing uses are deleted by a run of their own: `sweep-job.ts`.)
 *
 * All together may make 50 queries to D1, which is what the free plan allows in a run
 * (https://developers.cloudflare.com/d1/platform/limits/, "Queries per Worker invocation"; each
 * statement of a batch counts). With everything behind these are at most:
 * - history: 2 questions, 10 deletions and a mark, 1 question and 10 statements to pack: 24
 * - index of inputs: 24 (TEND_QUERIES in `fill-input-index.ts`)
 * - the rest is for deleting on, which takes what is left.
 */
export async function runDailyJobs(env: Env, nowMs: number): Promise<void> {
  let keptFromMs = 0;
  const failures = [
    await failureOf("uploads", () => sweepStaleUploads(env, nowMs)),
    await failureOf("history", async () => {
      const days = await callRegistry(env, (registry) => registry.getSetting("history_days"));
      const tidied = await tidyHistory(env.HISTORY, days.ok ? keepDaysOf(days.value) : null, nowMs);
      keptFromMs = tidied.kept_from_ms;
      return tidied;
    }),
    await failureOf("index of inputs", () => tendInputIndex(env, nowMs)),
    await failureOf("stored bytes", () => countOldTasks(env)),
    await failureOf("retention", () => deleteExpired(env)),
    await failureOf("Blender builds", () =>
      sweepArchives(env.FILES, async () => new Set((await listBuilds(env)).map(({ sha256 }) => sha256)), nowMs),
    ),
    await failureOf("unseen workers", () => callRegistry(env, (registry) => registry.removeUnseenWorkers())),
    // The last: it ends when the platform allows no more queries.
    keptFromMs > 0 ? await failureOf("old events", () => deleteOn(env.HISTORY, keptFromMs)) : null,
  ].filter((failure) => failure !== null);
  if (failures.length > 0) throw new Error(failures.join("; "));
}

/**
 * Call tasks that have not said what they store, at most 100 a day. Any call has the object count by
 * its own alarm, and then report.
 */
async function countOldTasks(env: Env): Promise<{ called: number; unanswered: number }> {
  const ids = await callRegistry(env, (registry) => registry.uncountedTasks());
  const answers = await wakeTasks(env, ids, "daily");
  return { called: ids.length, unanswered: answers.filter((answer) => answer === undefined).length };
}

async function listBuilds(env: Env): Promise<BlenderBuild[]> {
  return await callRegistry(env, (registry) => registry.listBuilds());
}

/**
 * Run a daily job and log what it did: what is deleted is named. Answers why it failed, or null.
 */
async function failureOf(job: string, work: () => Promise<object>): Promise<string | null> {
  try {
    console.log(JSON.stringify({ at: "daily", job, ...(await work()) }));
    return null;
  } catch (error) {
    return `${job}: ${messageOf(error)}`;
  }
}
