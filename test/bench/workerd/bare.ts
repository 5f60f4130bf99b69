/**
 * The platform's own speed: a Durable Object that does one two-row SQL write per call, and a Worker
 * that only calls it, or puts a body into the bucket. The manager is compared with it.
 */
import { DurableObject } from "cloudflare:workers";

interface Env {
  BARE: DurableObjectNamespace<BareDO>;
  FILES: R2Bucket;
}

/**
 * Number of rows that the object cycles through: as many as a page's key moves over in a task of
 * this size.
 */
const ROWS = 1_000;

export class BareDO extends DurableObject<Env> {
  #calls = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS cells (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
  }

  /** Write two rows in one statement; returns how many calls there were. */
  async write(text: string): Promise<number> {
    const calls = ++this.#calls;
    this.ctx.storage.sql.exec(
      "INSERT INTO cells (id, text) VALUES (0, ?1), (?2, ?1) ON CONFLICT (id) DO UPDATE SET text = excluded.text",
      // Each text is new: SQLite would find unchanged pages and write nothing.
      `${calls} ${text}`,
      1 + (calls % ROWS),
    );
    return calls;
  }
}

export default {
  async fetch(request, env) {
    if (request.method === "GET") return new Response("here");
    if (request.method === "PUT") {
      await env.FILES.put(`plain${new URL(request.url).pathname}`, request.body);
      return new Response(null, { status: 201 });
    }
    const text = await request.text();
    const calls = await env.BARE.getByName("bare").write(text);
    return Response.json({ calls });
  },
} satisfies ExportedHandler<Env>;
