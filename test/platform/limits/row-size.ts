/**
 * A row of a Durable Object's database holds 2 MB
 * (https://developers.cloudflare.com/durable-objects/platform/limits/: "Maximum string, BLOB or table
 * row size: 2 MB"). The workerd that runs here allows more.
 */
import type { Limit, LimitContext } from "./limit.ts";

/** The most bytes of a row. */
export const MAX_ROW_BYTES = 2_000_000;
/** SQLite's message. */
export const ROW_TOO_BIG = "string or blob too big: SQLITE_TOOBIG";

/** A statement whose values together do not fit into a row is refused. */
export function rowSize({ bite }: LimitContext): Limit {
  return {
    statement(_statement, params) {
      const bytes = params.reduce<number>((sum, param) => sum + sizeOf(param), 0);
      if (bytes <= MAX_ROW_BYTES) return;
      bite();
      throw new Error(ROW_TOO_BIG);
    },
  };
}

function sizeOf(param: unknown): number {
  if (param instanceof ArrayBuffer || ArrayBuffer.isView(param)) return param.byteLength;
  if (typeof param !== "string") return 8;
  // Most texts are far below the limit, whatever their characters.
  return param.length * 3 <= MAX_ROW_BYTES / 10 ? param.length : new TextEncoder().encode(param).byteLength;
}
