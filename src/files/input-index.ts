/**
 * SQL of the index of inputs in D1 (`schema/0003_inputs.sql`, `0004_piece_lists.sql`). An input is
 * written to R2 first, and then to the index. So the index may lack an input that is stored.
 *
 * A row is live, and then its input is stored, or it is being deleted: `deleting_until_ms` says
 * until when a sweep may delete the object (decision 021), or, in the past, when it last could.
 * Statements of the sweep itself are in `input-sweep-store.ts`.
 *
 * The row of a piece list names its pieces (decision 020). A piece is never less recently used than a
 * live list that names it: the sweep relies on it, and so whatever writes `used_ms` of a list writes
 * that of its pieces.
 */
import { chunksOf } from "../lib/chunks.ts";
import { messageOf } from "../lib/errors.ts";
import { within } from "../lib/within.ts";
import { bytesOfPieces, type Piece } from "../protocol/piece-list.ts";
import type { Queryable } from "./query-budget.ts";

/** The bindings in which inputs and their index are. */
export interface InputStorage {
  FILES: R2Bucket;
  HISTORY: Queryable;
}

/** An input: its hash, and its size in bytes. */
export interface StoredInput {
  sha256: string;
  size: number;
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

/** An input that was seen in the bucket, or put there. */
export interface SeenInput extends StoredInput {
  /**
   * The object was there at this instant, or later. A deletion that may have come after it counts
   * more.
   */
  stored_ms: number;
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
 * Inputs that are filled in with one statement: 1.3 MB of text. With fewer, the daily run would need
 * more queries (`daily-jobs.ts`).
 */
export const FILLED_AT_ONCE = 10_000;
/**
 * Hashes that one statement of a sweep takes: 67 bytes each, 1.3 MB of text. With fewer, a run would
 * need more queries (SWEEP_QUERIES in `input-sweep.ts`).
 */
export const NOTED_AT_ONCE = 20_000;
/**
 * How old `used_ms` may get. With a shorter time, asking about the same inputs again would write
 * their rows again; a sweep must spare inputs for longer than this.
 */
const REFRESH_AFTER_MS = 86_400_000;
/**
 * How far the clocks of two Workers may differ. Without it, an object that was seen just before its
 * deletion could count as seen after it.
 */
export const CLOCK_MS = 5_000;

// The cross join keeps the order: for each hash one look-up by the primary key. The other way round
// it would read the whole index.
const LOOK_UP = `
  SELECT inputs.sha256, inputs.size, inputs.whole_size, inputs.used_ms, inputs.deleting_until_ms
  FROM json_each(?1) AS asked CROSS JOIN inputs ON inputs.sha256 = asked.value`;

const READ_FILL = "SELECT after, complete FROM inputs_fill WHERE id = 1";

// A row that is being deleted becomes live again only when the object was seen after the last
// instant at which it could be deleted. Rows that are not returned are the others. Nobody knows then
// whether its pieces are there, so it is no piece list until somebody has looked.
const ON_CONFLICT = `
  ON CONFLICT (sha256) DO UPDATE
  SET size = excluded.size, used_ms = max(inputs.used_ms, excluded.used_ms), deleting_until_ms = NULL,
    whole_size = coalesce(excluded.whole_size, iif(inputs.deleting_until_ms IS NULL, inputs.whole_size, NULL)),
    pieces = coalesce(excluded.pieces, iif(inputs.deleting_until_ms IS NULL, inputs.pieces, NULL))
  WHERE inputs.deleting_until_ms IS NULL OR inputs.deleting_until_ms < excluded.stored_ms - ${CLOCK_MS}
  RETURNING sha256`;

// The second part are the pieces of the lists among these inputs.
const RECORD = `
  INSERT INTO inputs (sha256, size, stored_ms, used_ms, pieces)
  SELECT value ->> 'sha256', value ->> 'size', value ->> 'stored_ms', ?2, value -> 'pieces' FROM json_each(?1)
  UNION ALL
  SELECT piece.sha256, piece.size, piece.stored_ms, ?2, NULL
  FROM json_each(?1) AS asked
  CROSS JOIN inputs AS list ON list.sha256 = asked.value ->> 'sha256' AND list.deleting_until_ms IS NULL
  CROSS JOIN json_each(list.pieces) AS named
  CROSS JOIN inputs AS piece ON piece.sha256 = named.value AND piece.deleting_until_ms IS NULL
  WHERE true ${ON_CONFLICT}`;

// Only while all its pieces have live rows, and are as recently used as it: a use of its text may have
// been noted later than ?2 by then. ?6: when the list was seen in the bucket.
const RECORD_LIST = `
  INSERT INTO inputs (sha256, size, stored_ms, used_ms, whole_size, pieces)
  SELECT ?1, ?3, ?6, ?2, ?4, ?5 WHERE NOT EXISTS (
    SELECT 1 FROM json_each(?5) AS named LEFT JOIN inputs AS piece ON piece.sha256 = named.value
    WHERE piece.sha256 IS NULL OR piece.deleting_until_ms IS NOT NULL
      OR piece.used_ms < (SELECT used_ms FROM inputs WHERE sha256 = ?1 AND deleting_until_ms IS NULL)
  ) ${ON_CONFLICT}`;

// ?3: inputs that were used since then stay as they are.
const REFRESH = `
  UPDATE inputs SET used_ms = max(used_ms, ?2)
  WHERE deleting_until_ms IS NULL AND sha256 IN (
    SELECT old.sha256 FROM json_each(?1) AS asked CROSS JOIN inputs AS old ON old.sha256 = asked.value
      WHERE old.used_ms < ?3
    UNION ALL
    SELECT piece.value FROM json_each(?1) AS asked CROSS JOIN inputs AS list ON list.sha256 = asked.value
      CROSS JOIN json_each(list.pieces) AS piece
      WHERE list.used_ms < ?3 AND list.deleting_until_ms IS NULL
  )
  RETURNING sha256, whole_size`;

// The same late, of inputs that were seen in the bucket at different times: [{seen_ms, hashes}]. A row that
// could be deleted until before then is live again, and as in ON_CONFLICT no piece list. A piece was not
// seen because its list was: it becomes live again only where it is noted itself.
const REFRESH_NOTED = `
  WITH noted (sha256, seen_ms) AS MATERIALIZED (
    SELECT hash.value, note.value ->> 'seen_ms'
    FROM json_each(?1) AS note CROSS JOIN json_each(note.value, '$.hashes') AS hash
  )
  UPDATE inputs SET used_ms = max(used_ms, ?2), deleting_until_ms = NULL,
    whole_size = iif(deleting_until_ms IS NULL, whole_size, NULL),
    pieces = iif(deleting_until_ms IS NULL, pieces, NULL)
  WHERE sha256 IN (
    SELECT old.sha256 FROM noted CROSS JOIN inputs AS old ON old.sha256 = noted.sha256
      WHERE old.deleting_until_ms IS NULL OR old.deleting_until_ms < noted.seen_ms - ${CLOCK_MS}
    UNION ALL
    SELECT piece.sha256 FROM noted
      CROSS JOIN inputs AS list ON list.sha256 = noted.sha256 AND list.deleting_until_ms IS NULL
      CROSS JOIN json_each(list.pieces) AS named CROSS JOIN inputs AS piece ON piece.sha256 = named.value
      WHERE piece.deleting_until_ms IS NULL
  )`;
/** As a bound value of REFRESH: no row is too recently used. */
const ALL = Number.MAX_SAFE_INTEGER;

const FILL = `
  INSERT OR IGNORE INTO inputs (sha256, size, stored_ms, used_ms, pieces)
  SELECT value ->> 'sha256', value ->> 'size', value ->> 'stored_ms', ?2, value -> 'pieces' FROM json_each(?1)`;

const WITHOUT_PIECES = `
  SELECT asked.value AS sha256 FROM json_each(?1) AS asked LEFT JOIN inputs ON inputs.sha256 = asked.value
  WHERE inputs.pieces IS NULL OR inputs.deleting_until_ms IS NOT NULL`;

// The condition keeps two runs at once from moving the mark back.
const MOVE_FILL =
  "UPDATE inputs_fill SET after = ?2, complete = ?3 WHERE id = 1 AND after = ?1 AND complete = 0 RETURNING after, complete";

/** What the index says of the inputs that were asked for. */
export interface IndexAnswer {
  /** The sizes of those that are stored. */
  sizes: Map<string, InputSizes>;
  /** Those that a sweep may be deleting at this moment. */
  deleting: Set<string>;
  /**
   * Those whose deletion is over, or was given up: the index does not know whether they are there.
   */
  unsure: Set<string>;
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
export async function lookUpInputs(db: Queryable, hashes: readonly string[], nowMs: number): Promise<IndexAnswer> {
  const lookUps = chunksOf(hashes, INPUTS_PER_STATEMENT).map((some) => db.prepare(LOOK_UP).bind(JSON.stringify(some)));
  const [fill, ...found] = await within(D1_TIMEOUT_MS, db.batch([db.prepare(READ_FILL), ...lookUps]));
  const answer: IndexAnswer = {
    sizes: new Map(),
    deleting: new Set(),
    unsure: new Set(),
    toRefresh: [],
    complete: fillOf(fill!).complete,
  };
  for (const row of found.flatMap(({ results }) => results as LookUpRow[])) {
    if (row.deleting_until_ms !== null) {
      (row.deleting_until_ms < nowMs - CLOCK_MS ? answer.unsure : answer.deleting).add(row.sha256);
      continue;
    }
    answer.sizes.set(row.sha256, { size: row.size, whole: row.whole_size });
    if (row.used_ms < nowMs - REFRESH_AFTER_MS) answer.toRefresh.push(row.sha256);
  }
  return answer;
}

/**
 * Put inputs that are stored into the index. Answers with the hashes of those that are live in it
 * now: all but those that may have been deleted since they were seen. Rejects when D1 does not
 * answer.
 */
export async function recordInputs(db: Queryable, inputs: readonly SeenInput[], nowMs: number): Promise<Set<string>> {
  const recording = boundTexts(inputs).map((some) => db.prepare(RECORD).bind(some, nowMs));
  const answers = await within(D1_TIMEOUT_MS, db.batch([...recording, ...refreshmentsOfLists(db, inputs, nowMs)]));
  return hashesIn(answers.slice(0, recording.length));
}

/** A piece list whose pieces are stored. */
export interface StoredPieceList {
  sha256: string;
  /** Bytes of the list. */
  size: number;
  pieces: readonly Piece[];
}

/**
 * Put a piece list into the index; it and its pieces were seen in the bucket at `seenMs` or later.
 * Answers whether it is in it now: not when it or one of its pieces may have been deleted since then.
 * Rejects when D1 does not answer.
 */
export async function recordPieceList(
  db: Queryable,
  { sha256, size, pieces }: StoredPieceList,
  seenMs: number,
  nowMs: number,
): Promise<boolean> {
  const seen = JSON.stringify(pieces.map((piece) => ({ ...piece, stored_ms: seenMs })));
  const names = JSON.stringify(pieces.map((piece) => piece.sha256));
  const [, recorded] = await within(
    D1_TIMEOUT_MS,
    db.batch([
      db.prepare(RECORD).bind(seen, nowMs),
      db.prepare(RECORD_LIST).bind(sha256, nowMs, size, bytesOfPieces(pieces), names, seenMs),
    ]),
  );
  return hashesIn([recorded!]).has(sha256);
}

/** Those of these piece lists without a live row that names their pieces. Rejects when D1 does. */
export async function listsWithoutPieces(db: Queryable, lists: readonly string[]): Promise<string[]> {
  if (lists.length === 0) return [];
  const some = chunksOf(lists, NOTED_AT_ONCE).map((part) => db.prepare(WITHOUT_PIECES).bind(JSON.stringify(part)));
  return [...hashesIn(await db.batch(some))];
}

/** The inputs as JSON, in texts that D1 takes as one bound value each. A piece list may take 67 kB. */
function boundTexts(inputs: readonly StoredInput[], perStatement = INPUTS_PER_STATEMENT): string[] {
  const weight = ({ pieces }: StoredInput): number => 1 + (pieces?.length ?? 0) / 2;
  const texts: string[] = [];
  let some: StoredInput[] = [];
  let left = perStatement;
  for (const input of inputs) {
    if (some.length > 0 && left < weight(input)) {
      texts.push(JSON.stringify(some));
      [some, left] = [[], perStatement];
    }
    some.push(input);
    left -= weight(input);
  }
  return [...texts, JSON.stringify(some)];
}

/** The pieces of new lists among these inputs may have had rows for a long time. */
function refreshmentsOfLists(db: Queryable, inputs: readonly StoredInput[], nowMs: number): D1PreparedStatement[] {
  const lists = inputs.filter(({ pieces }) => pieces !== undefined).map(({ sha256 }) => sha256);
  return refreshments(db, lists, nowMs, ALL);
}

/**
 * Note that these inputs are used, and the pieces of those that are piece lists. Answers with those
 * that are still there, and the bytes of the whole file of those that are still piece lists, else null:
 * since it was looked up, one may have been given up to deletion, and may have come again as an
 * ordinary input. Rejects when D1 does not answer.
 */
export async function refreshInputs(
  db: Queryable,
  hashes: readonly string[],
  nowMs: number,
): Promise<Map<string, number | null>> {
  const answers = await within(D1_TIMEOUT_MS, db.batch(refreshments(db, hashes, nowMs, ALL)));
  const rows = answers.flatMap(({ results }) => results as Pick<LookUpRow, "sha256" | "whole_size">[]);
  return new Map(rows.map(({ sha256, whole_size }) => [sha256, whole_size]));
}

/** Inputs that were seen in the bucket, and used, at an instant. */
export interface NotedUse {
  hashes: readonly string[];
  seenMs: number;
}

/**
 * The same late: of uses that were noted elsewhere. At most a statement for each NOTED_AT_ONCE / 2 hashes,
 * where no use has more, and one more.
 */
export function refreshmentsOfNoted(db: Queryable, uses: readonly NotedUse[], nowMs: number): D1PreparedStatement[] {
  const statements: D1PreparedStatement[] = [];
  let some: { seen_ms: number; hashes: readonly string[] }[] = [];
  let hashes = 0;
  const end = (): void => {
    if (some.length > 0) statements.push(db.prepare(REFRESH_NOTED).bind(JSON.stringify(some), nowMs));
    [some, hashes] = [[], 0];
  };
  for (const use of uses)
    for (const part of chunksOf(use.hashes, NOTED_AT_ONCE)) {
      if (hashes + part.length > NOTED_AT_ONCE) end();
      some.push({ seen_ms: use.seenMs, hashes: part });
      hashes += part.length;
    }
  end();
  return statements;
}

/** Statements that note that a task names these inputs, where that was last noted more than a day ago. */
export function markings(db: Queryable, hashes: readonly string[], nowMs: number): D1PreparedStatement[] {
  return refreshments(db, hashes, nowMs, nowMs - REFRESH_AFTER_MS, NOTED_AT_ONCE);
}

function refreshments(
  db: Queryable,
  hashes: readonly string[],
  nowMs: number,
  beforeMs: number,
  perStatement = INPUTS_PER_STATEMENT,
): D1PreparedStatement[] {
  return chunksOf(hashes, perStatement).map((some) => db.prepare(REFRESH).bind(JSON.stringify(some), nowMs, beforeMs));
}

interface HashRow {
  sha256: string;
}

/** The hashes that statements have returned. */
function hashesIn(answers: readonly D1Result[]): Set<string> {
  return new Set(answers.flatMap(({ results }) => (results as HashRow[]).map(({ sha256 }) => sha256)));
}

/** How far the index is filled: see `inputs_fill`. */
export interface Fill {
  after: string;
  complete: boolean;
}

/** Rejects when D1 does not answer. */
export async function readFill(db: Queryable): Promise<Fill> {
  const [fill] = await db.batch([db.prepare(READ_FILL)]);
  return fillOf(fill!);
}

/**
 * Add a page of inputs that were found in the bucket, and move the mark from `from` to `to`; all of
 * it or nothing. Answers how far the index is filled now, which another run may have changed.
 * Rejects when D1 does.
 */
export async function fillPage(
  db: Queryable,
  page: readonly SeenInput[],
  from: Fill,
  to: Fill,
  nowMs: number,
): Promise<Fill> {
  const answers = await db.batch([
    ...boundTexts(page, FILLED_AT_ONCE).map((some) => db.prepare(FILL).bind(some, nowMs)),
    ...refreshmentsOfLists(db, page, nowMs),
    db.prepare(MOVE_FILL).bind(from.after, to.after, Number(to.complete)),
  ]);
  const moved = answers.at(-1)!;
  return moved.results.length > 0 ? fillOf(moved) : await readFill(db);
}

/** Log that D1 or R2 failed where the work goes on without. */
export function warnOfIndex(error: unknown): void {
  console.warn(`the index of inputs failed: ${messageOf(error)}`);
}

function fillOf({ results }: D1Result): Fill {
  const [row] = results as { after: string; complete: number }[];
  return { after: row!.after, complete: row!.complete === 1 };
}
