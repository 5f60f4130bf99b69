/**
 * SQL of the index of inputs in D1 (`schema/0003_inputs.sql`, `0004_piece_lists.sql`). An input is written to R2 first, and
 * then to the index. So the index may lack an input that is stored, and never names one that is
 * not.
 *
 * A row whose input a sweep is about to delete says so by `deleting_until_ms`. This release deletes
 * no inputs; it reads the column, so that a manager can be rolled back to it from one that does.
 */
import { chunksOf } from "../lib/chunks.ts";
import { messageOf } from "../lib/errors.ts";
import { within } from "../lib/within.ts";
import { bytesOfPieces, type Piece } from "../protocol/piece-list.ts";

/** The bindings in which inputs and their index are. */
export interface InputStorage {
  FILES: R2Bucket;
  HISTORY: D1Database;
}

/** An input: its hash, and its size in bytes. */
export interface StoredInput {
  sha256: string;
  size: number;
  /** When it was stored, where that is not now. */
  stored_ms?: number;
  /**
   * Of a piece list: the hashes of its pieces. The row then keeps them from being swept. It does not
   * say that they are stored: `recordPieceList` does.
   */
  pieces?: readonly string[];
}

/** What is known of a stored input. */
export interface InputSizes {
  /** Bytes of its object. */
  size: number;
  /** Of a piece list: bytes of the whole file. Null when it is not known to be one. */
  whole: number | null;
}

/**
 * D1 stalls for a minute now and then. Without a limit, each upload and each submission would wait
 * for that long.
 */
export const D1_TIMEOUT_MS = 5_000;
/**
 * D1 takes at most 2 MB as one bound value
 * (https://developers.cloudflare.com/d1/platform/limits/). An input takes 67 bytes in a look-up and
 * at most 130 in an insertion, so 5,000 take a third of that.
 */
const INPUTS_PER_STATEMENT = 5_000;
/**
 * How old `used_ms` may get. With a shorter time, asking about the same inputs again would write
 * their rows again; a sweep must spare inputs for longer than this.
 */
const REFRESH_AFTER_MS = 86_400_000;

// The cross join keeps the order: for each hash one look-up by the primary key. The other way round
// it would read the whole index.
const LOOK_UP = `
  SELECT inputs.sha256, inputs.size, inputs.whole_size, inputs.used_ms, inputs.deleting_until_ms
  FROM json_each(?1) AS asked CROSS JOIN inputs ON inputs.sha256 = asked.value`;

const READ_FILL = "SELECT after, complete FROM inputs_fill WHERE id = 1";

// A row that is being deleted stays as it is until the sweep may not delete any more. Rows that are
// not returned are those. When its time is over, nobody knows whether its pieces are there.
const ON_CONFLICT = `
  ON CONFLICT (sha256) DO UPDATE SET size = excluded.size, used_ms = excluded.used_ms, deleting_until_ms = NULL,
    whole_size = coalesce(excluded.whole_size, iif(inputs.deleting_until_ms IS NULL, inputs.whole_size, NULL)),
    pieces = coalesce(excluded.pieces, iif(inputs.deleting_until_ms IS NULL, inputs.pieces, NULL))
  WHERE inputs.deleting_until_ms IS NULL OR inputs.deleting_until_ms < ?2
  RETURNING sha256`;

// A piece is never unused for longer than a list that names it: a sweep would take it from the list.
// So the pieces of the lists among these inputs are written, too.
const RECORD = `
  INSERT INTO inputs (sha256, size, stored_ms, used_ms, pieces)
  SELECT value ->> 'sha256', value ->> 'size', coalesce(value ->> 'stored_ms', ?2), ?2, value -> 'pieces'
  FROM json_each(?1)
  UNION ALL
  SELECT piece.sha256, piece.size, piece.stored_ms, ?2, NULL
  FROM json_each(?1) AS asked
  CROSS JOIN inputs AS list ON list.sha256 = asked.value ->> 'sha256' AND list.deleting_until_ms IS NULL
  CROSS JOIN json_each(list.pieces) AS named
  CROSS JOIN inputs AS piece ON piece.sha256 = named.value AND piece.deleting_until_ms IS NULL
  WHERE true ${ON_CONFLICT}`;

const LACKS_A_PIECE = (pieces: string): string => `
  EXISTS (SELECT 1 FROM json_each(${pieces}) AS named LEFT JOIN inputs AS piece ON piece.sha256 = named.value
    WHERE piece.sha256 IS NULL OR piece.deleting_until_ms IS NOT NULL)`;

// Only while all its pieces have live rows.
const RECORD_LIST = `
  INSERT INTO inputs (sha256, size, stored_ms, used_ms, whole_size, pieces)
  SELECT ?1, ?3, ?2, ?2, ?4, ?5 WHERE NOT ${LACKS_A_PIECE("?5")} ${ON_CONFLICT}`;

// Of a list all pieces, or not even the list. The table names the pieces of a list that was found in
// the bucket before they are in the table themselves.
const REFRESH = `
  UPDATE inputs SET used_ms = ?2
  WHERE deleting_until_ms IS NULL AND sha256 IN (
    SELECT value FROM json_each(?1)
    UNION
    SELECT named.value FROM json_each(?1) AS asked
    CROSS JOIN inputs AS list ON list.sha256 = asked.value AND list.deleting_until_ms IS NULL
    CROSS JOIN json_each(list.pieces) AS named
  ) AND (pieces IS NULL OR NOT ${LACKS_A_PIECE("inputs.pieces")})
  RETURNING sha256`;

const FILL = `
  INSERT OR IGNORE INTO inputs (sha256, size, stored_ms, used_ms, pieces)
  SELECT value ->> 'sha256', value ->> 'size', value ->> 'stored_ms', ?2, value -> 'pieces' FROM json_each(?1)`;

// The condition keeps two runs at once from moving the mark back.
const MOVE_FILL = "UPDATE inputs_fill SET after = ?2, complete = ?3 WHERE id = 1 AND after = ?1 AND complete = 0";

/** What the index says of the inputs that were asked for. */
export interface IndexAnswer {
  /** The sizes of those that are stored. */
  sizes: Map<string, InputSizes>;
  /** Those that a sweep may be deleting at this moment. */
  deleting: Set<string>;
  /** Those of `sizes` whose `used_ms` is old. */
  toRefresh: string[];
  /** Whether every input of the bucket had a row when the index was filled. */
  complete: boolean;
}

interface LookUpRow {
  sha256: string;
  size: number;
  whole_size: number | null;
  used_ms: number;
  deleting_until_ms: number | null;
}

/** Look these inputs up: one call of D1 however many they are. Rejects when D1 does not answer. */
export async function lookUpInputs(db: D1Database, hashes: readonly string[], nowMs: number): Promise<IndexAnswer> {
  const lookUps = chunksOf(hashes, INPUTS_PER_STATEMENT).map((some) => db.prepare(LOOK_UP).bind(JSON.stringify(some)));
  const [fill, ...found] = await within(D1_TIMEOUT_MS, db.batch([db.prepare(READ_FILL), ...lookUps]));
  const answer: IndexAnswer = {
    sizes: new Map(),
    deleting: new Set(),
    toRefresh: [],
    complete: fillOf(fill!).complete,
  };
  for (const row of found.flatMap(({ results }) => results as LookUpRow[])) {
    if (row.deleting_until_ms !== null) {
      // When that time is over, the index does not know whether the input is there.
      if (row.deleting_until_ms >= nowMs) answer.deleting.add(row.sha256);
      continue;
    }
    answer.sizes.set(row.sha256, { size: row.size, whole: row.whole_size });
    if (row.used_ms < nowMs - REFRESH_AFTER_MS) answer.toRefresh.push(row.sha256);
  }
  return answer;
}

/**
 * Put inputs that are stored into the index. Answers with the hashes of those that are in it now:
 * all but those that a sweep may be deleting. Rejects when D1 does not answer.
 */
export async function recordInputs(
  db: D1Database,
  inputs: readonly StoredInput[],
  nowMs: number,
): Promise<Set<string>> {
  const statements = boundTexts(inputs).map((some) => db.prepare(RECORD).bind(some, nowMs));
  return await hashesFrom(db, [...statements, ...refreshOfLists(db, inputs, nowMs)]);
}

/**
 * Put a piece list into the index, whose pieces are stored. Answers whether it is in it now: not
 * when a sweep may be deleting it, or one of its pieces. Rejects when D1 does not answer.
 */
export async function recordPieceList(
  db: D1Database,
  list: { sha256: string; size: number; pieces: readonly Piece[] },
  nowMs: number,
): Promise<boolean> {
  const { sha256, size, pieces } = list;
  const names = JSON.stringify(pieces.map((piece) => piece.sha256));
  const recorded = await hashesFrom(db, [
    db.prepare(RECORD).bind(JSON.stringify(pieces), nowMs),
    db.prepare(RECORD_LIST).bind(sha256, nowMs, size, bytesOfPieces(pieces), names),
  ]);
  return recorded.has(sha256);
}

/**
 * Note that these inputs, and the pieces of the lists among them, are used. Answers with the hashes of those that are still there: a sweep
 * may have begun to delete one since it was looked up. Rejects when D1 does not answer.
 */
export async function refreshInputs(db: D1Database, hashes: readonly string[], nowMs: number): Promise<Set<string>> {
  const statements = chunksOf(hashes, INPUTS_PER_STATEMENT).map((some) =>
    db.prepare(REFRESH).bind(JSON.stringify(some), nowMs),
  );
  return await hashesFrom(db, statements);
}

/**
 * The inputs as JSON, in texts that D1 takes as one bound value each. A piece list may take 67 kB.
 */
function boundTexts(inputs: readonly StoredInput[]): string[] {
  const weight = ({ pieces }: StoredInput): number => 1 + (pieces?.length ?? 0) / 2;
  const texts: string[] = [];
  let some: StoredInput[] = [];
  let left = INPUTS_PER_STATEMENT;
  for (const input of inputs) {
    if (some.length > 0 && left < weight(input)) {
      texts.push(JSON.stringify(some));
      [some, left] = [[], INPUTS_PER_STATEMENT];
    }
    some.push(input);
    left -= weight(input);
  }
  return [...texts, JSON.stringify(some)];
}

/** The pieces of new lists among these inputs may have had rows for a long time. */
function refreshOfLists(db: D1Database, inputs: readonly StoredInput[], nowMs: number): D1PreparedStatement[] {
  const lists = inputs.filter(({ pieces }) => pieces !== undefined).map(({ sha256 }) => sha256);
  return lists.length > 0 ? [db.prepare(REFRESH).bind(JSON.stringify(lists), nowMs)] : [];
}

/** The hashes that the statements return. */
async function hashesFrom(db: D1Database, statements: D1PreparedStatement[]): Promise<Set<string>> {
  const answers = await within(D1_TIMEOUT_MS, db.batch<{ sha256: string }>(statements));
  return new Set(answers.flatMap(({ results }) => results.map(({ sha256 }) => sha256)));
}

/** How far the index is filled: see `inputs_fill`. */
export interface Fill {
  after: string;
  complete: boolean;
}

/** Rejects when D1 does not answer. */
export async function readFill(db: D1Database): Promise<Fill> {
  const [fill] = await db.batch([db.prepare(READ_FILL)]);
  return fillOf(fill!);
}

/**
 * Add a page of inputs that were found in the bucket, and move the mark from `from` to `to`; all of
 * it or nothing. Answers how far the index is filled now, which another run may have changed.
 * Rejects when D1 does.
 */
export async function fillPage(
  db: D1Database,
  page: readonly StoredInput[],
  from: Fill,
  to: Fill,
  nowMs: number,
): Promise<Fill> {
  const results = await db.batch([
    ...boundTexts(page).map((some) => db.prepare(FILL).bind(some, nowMs)),
    ...refreshOfLists(db, page, nowMs),
    db.prepare(MOVE_FILL).bind(from.after, to.after, Number(to.complete)),
    db.prepare(READ_FILL),
  ]);
  return fillOf(results.at(-1)!);
}

/** Log that D1 or R2 failed where the work goes on without. */
export function warnOfIndex(error: unknown): void {
  console.warn(`the index of inputs failed: ${messageOf(error)}`);
}

function fillOf({ results }: D1Result): Fill {
  const [row] = results as { after: string; complete: number }[];
  return { after: row!.after, complete: row!.complete === 1 };
}
