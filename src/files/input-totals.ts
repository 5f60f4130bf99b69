/** How many inputs are stored, and how many bytes they have, from the index of inputs. */
import { within } from "../lib/within.ts";
import type { InputTotals } from "../protocol/storage.ts";
import { fillInputIndex } from "./fill-input-index.ts";
import { D1_TIMEOUT_MS, warnOfIndex, type InputStorage } from "./input-index.ts";
import type { Queryable } from "./query-budget.ts";

// Reads every row of the index: a million inputs are a million read rows ($0.001). Inputs that a sweep
// is deleting are left out.
const TOTALS = `
  SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes,
    (SELECT complete FROM inputs_fill WHERE id = 1) AS complete
  FROM inputs WHERE deleting_until_ms IS NULL`;

/**
 * The inputs of the farm. An index that is not complete is filled by one page more, as by a check of
 * inputs: that completes the index of most farms. Rejects when D1 does not answer.
 */
export async function inputTotals(storage: InputStorage, nowMs: number): Promise<InputTotals> {
  const totals = await readTotals(storage.HISTORY);
  if (totals.complete) return totals;
  try {
    await within(D1_TIMEOUT_MS, fillInputIndex(storage, nowMs, 1));
  } catch (error) {
    warnOfIndex(error);
    return totals;
  }
  return await readTotals(storage.HISTORY);
}

async function readTotals(db: Queryable): Promise<InputTotals> {
  const [answer] = await within(
    D1_TIMEOUT_MS,
    db.batch<{ files: number; bytes: number; complete: number }>([db.prepare(TOTALS)]),
  );
  const { files, bytes, complete } = answer!.results[0]!;
  return { files, bytes, complete: complete === 1 };
}
