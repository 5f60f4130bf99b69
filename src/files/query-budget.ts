/**
 * A bound on the queries to D1 of one run. The free plan allows 50 in an invocation
 * (https://developers.cloudflare.com/d1/platform/limits/, "Queries per Worker invocation"). The page
 * does not say whether a batch counts as one, so each of its statements counts here.
 */

/** What the index of inputs needs of D1. */
export type Queryable = Pick<D1Database, "prepare" | "batch">;

/** A database whose statements are counted. Its user asks before each step whether enough are left. */
export class QueryBudget {
  /** The database; whatever goes through it counts. */
  readonly db: Queryable;
  #left: number;

  /** `queries`: how many may be made. */
  constructor(db: Queryable, queries: number) {
    this.#left = queries;
    this.db = {
      prepare: (sql) => db.prepare(sql),
      batch: async (statements) => {
        this.#left -= statements.length;
        return await db.batch(statements);
      },
    };
  }

  /** Whether so many queries may still be made. */
  has(queries: number): boolean {
    return queries <= this.#left;
  }
}
