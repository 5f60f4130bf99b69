/**
 * The manager as it is deployed, with one more route that fills its registry: `POST /copies` with
 * `{"tasks": N}` copies the row of task 1 until there are N.
 */
import worker, { TaskDO, WorkerRegistry } from "../../../src/index.ts";
import type { Env } from "../../../src/rpc/env.ts";
import { registryStub } from "../../../src/rpc/stubs.ts";

interface Copies {
  copyTask(tasks: number): Promise<void>;
}

Object.assign(WorkerRegistry.prototype, {
  async copyTask(this: { ctx: DurableObjectState }, tasks: number) {
    const { sql } = this.ctx.storage;
    const names = sql.exec("SELECT * FROM tasks WHERE id = 1").columnNames.filter((name) => name !== "id");
    const values = names.map((name) => (name === "summary" ? "json_set(summary, '$.id', n)" : name));
    sql.exec(
      `INSERT INTO tasks (id, ${names.join(", ")})
       WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
       SELECT n, ${values.join(", ")} FROM n, tasks WHERE id = 1`,
      tasks,
    );
  },
});

export { TaskDO, WorkerRegistry };

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== "/copies") return await worker.fetch(request, env, ctx);
    const { tasks } = await request.json<{ tasks: number }>();
    await (registryStub(env) as unknown as Copies).copyTask(tasks);
    return Response.json(null);
  },
} satisfies ExportedHandler<Env>;
