/**
 * Fills a registry with many tasks and workers by SQL: the rows that a hundred thousand reports
 * would leave, in a second.
 */
import type { Needs } from "../../../src/protocol/needs.ts";
import type { RegistryRpc, TaskReport } from "../../../src/rpc/registry.ts";

export interface Filled {
  fill(tasks: number, workers: number): Promise<void>;
}

/** Every fourth task has work for a worker, at one of a hundred priorities. */
const OPEN_EACH = 4;

/** Add the method to the class. */
export function fillWith(prototype: object): void {
  Object.assign(prototype, {
    async fill(this: RegistryRpc & { ctx: DurableObjectState }, tasks: number, workers: number) {
      const { sql } = this.ctx.storage;
      const caller = { role: "admin", id: 0, name: "admin" } as const;
      const machine = { hostname: "box", system: "Linux", programs: { "tablao-tool": "1" } };
      await this.registerWorker(machine, caller, "192.0.2.1");
      await this.report(firstReport());
      sql.exec(
        `WITH RECURSIVE n (id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM n WHERE id < ?1)
         INSERT INTO tasks (id, version, summary, status, type, owner, needs_id, priority, claimable, open, kept_off, live, busy, tally)
         SELECT n.id, version, json_set(summary, '$.id', n.id), status, type, owner, needs_id, n.id % 100,
           CASE WHEN n.id % ${OPEN_EACH} = 0 THEN claimable ELSE 0 END, n.id % ${OPEN_EACH} = 0, kept_off, live, busy, tally
         FROM n, tasks WHERE tasks.id = 1 AND ?1 > 1`,
        tasks,
      );
      sql.exec(
        `WITH RECURSIVE n (id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM n WHERE id < ?1)
         INSERT INTO workers (id, secret_sha256, hostname, offer, info, granted_tags, registered_ms, contact_ms)
         SELECT n.id, 'secret-' || n.id, 'box-' || n.id, offer, info, granted_tags, registered_ms, contact_ms
         FROM n, workers WHERE workers.id = 1 AND ?1 > 1`,
        workers,
      );
      // The object still holds the old state in memory. The end of a restore, here of no rows, makes
      // it read its rows before the next call.
      await this.restoreRows([], true);
    },
  });
}

function firstReport(): TaskReport {
  const needs: Needs = {
    type: "demo_render",
    programs: ["tablao-tool"],
    tags: [],
    allow_exec: false,
    allow_autoexec: false,
  };
  return {
    version: 1,
    summary: {
      id: 1,
      worker_id: 0,
      priority: 50,
      frame_start: 1,
      frame_end: 10,
      frame_current: 1,
      status: "queued",
      format: "PNG",
      name: "shot",
      type: "demo_render",
      parser: "plain",
      owner: "ada",
      task_id: null,
      frames: { total: 10, pending: 10, leased: 0, done: 0, failed: 0, skipped: 0 },
      error: null,
      created_ms: 1,
      updated_ms: 1,
      seconds: 0,
      errors: 0,
      lost: 0,
      eta: null,
    },
    needs,
    claimable: 10,
    live_workers: [],
    kept_off: [],
    tally: { done: 0, errors: 0, lost: 0, seconds: 0 },
    gone: false,
  };
}
