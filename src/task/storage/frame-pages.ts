/**
 * Rows of the entries of frames, PAGE_FRAMES to a row. Changes since a page was last written are in
 * memory, and in the write-ahead log until the next checkpoint; every read sees rows and memory
 * together.
 */
import { all, first, run, type SqlRow } from "../../platform/sql.ts";
import type { FrameTable, FrameEntry } from "../rules/ledger.ts";

/**
 * Frames in a page: one row of a few kilobytes, and a chunk of 10 touches one or two. Stored: it
 * must not change.
 */
export const PAGE_FRAMES = 16;

/**
 * Pages kept in memory, about a megabyte. Fewer: lease calls and live messages read the same rows
 * again and again.
 */
const CACHED_PAGES = 256;

/** The most pages read in one query: some hundred kilobytes in memory. */
const MAX_READ_PAGES = 64;

type Page = Record<string, FrameEntry>;
interface PageRow extends SqlRow {
  page: number;
  json: string;
}

export class FramePages {
  readonly #sql: SqlStorage;
  readonly #pages = new Map<number, Page>();
  /** Pages that differ from their rows. They are not evicted. */
  readonly #dirty = new Set<number>();
  /**
   * Entries that changed since `flushed` was last called, by frame; null where the entry was
   * removed.
   */
  readonly changed = new Map<number, FrameEntry | null>();
  readonly frameTable: FrameTable = {
    get: (frame) => this.#page(pageOf(frame))[frame],
    set: (frame, entry) => this.#set(frame, entry),
  };

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The write-ahead log holds what has changed. */
  flushed(): void {
    this.changed.clear();
  }

  /** Write every page that differs from its row. Call inside a transaction. */
  save(): void {
    for (const number of this.#dirty) this.#savePage(number);
    this.#dirty.clear();
    this.changed.clear();
  }

  #savePage(number: number): void {
    const page = this.#page(number);
    const entries = Object.values(page);
    if (entries.length === 0) run(this.#sql, "DELETE FROM pages WHERE page = ?", number);
    else {
      const failed = entries.filter((entry) => entry.state === "failed").length;
      run(
        this.#sql,
        "INSERT INTO pages (page, failed, json) VALUES (?, ?, ?) ON CONFLICT (page) DO UPDATE SET failed = excluded.failed, json = excluded.json",
        number,
        failed,
        JSON.stringify(page),
      );
    }
  }

  /** Forget everything in memory: a transition that threw may have left it half-changed. */
  forget(): void {
    this.#pages.clear();
    this.#dirty.clear();
    this.changed.clear();
  }

  #page(number: number): Page {
    const cached = this.#pages.get(number);
    if (cached) return cached;
    const row = first<{ json: string }>(this.#sql, "SELECT json FROM pages WHERE page = ?", number);
    const page = row ? (JSON.parse(row.json) as Page) : {};
    if (this.#pages.size >= CACHED_PAGES) this.#evict();
    this.#pages.set(number, page);
    return page;
  }

  #evict(): void {
    for (const number of this.#pages.keys()) {
      if (this.#pages.size < CACHED_PAGES) return;
      if (!this.#dirty.has(number)) this.#pages.delete(number);
    }
  }

  #set(frame: number, entry: FrameEntry | undefined): void {
    const number = pageOf(frame);
    const page = this.#page(number);
    if (entry) page[frame] = entry;
    else if (frame in page) delete page[frame];
    else return;
    this.#dirty.add(number);
    this.changed.set(frame, entry ?? null);
  }

  /**
   * Frames from `from` on that have an entry, ascending, read page by page. Consume it before the
   * next `await`.
   */
  *entries(from = -Infinity): Generator<[number, FrameEntry]> {
    const firstPage = from === -Infinity ? -(2 ** 40) : pageOf(from);
    for (const page of this.#overlaid(this.#rows(firstPage), firstPage)) {
      const items = Object.entries(page).map(([frame, entry]) => [Number(frame), entry] as [number, FrameEntry]);
      for (const item of items.sort((a, b) => a[0] - b[0])) if (item[0] >= from) yield item;
    }
  }

  /**
   * Rows of pages in their order, read as they are asked for. Each query is read to its end: no SQL
   * cursor stays open.
   */
  *#rows(firstPage: number): Generator<PageRow> {
    let next = firstPage;
    for (let limit = 1; ; limit = Math.min(MAX_READ_PAGES, limit * 4)) {
      const rows = all<PageRow>(
        this.#sql,
        "SELECT page, json FROM pages WHERE page >= ? ORDER BY page LIMIT ?",
        next,
        limit,
      );
      yield* rows;
      if (rows.length < limit) return;
      next = rows.at(-1)!.page + 1;
    }
  }

  failedFrames(): number[] {
    const frames: number[] = [];
    // Read to the end, one row at a time: a task may have more such pages than fit into memory.
    const rows = this.#sql.exec<PageRow>("SELECT page, json FROM pages WHERE failed > 0 ORDER BY page");
    for (const page of this.#overlaid(rows, -Infinity)) {
      for (const [frame, entry] of Object.entries(page)) if (entry.state === "failed") frames.push(Number(frame));
    }
    return frames;
  }

  /** Pages by number; a page in memory that differs from its row comes instead of the row. */
  *#overlaid(rows: Iterable<PageRow>, firstPage: number): Generator<Page> {
    const differ = [...this.#dirty].filter((number) => number >= firstPage).sort((a, b) => b - a);
    for (const row of rows) {
      while (differ.length > 0 && differ.at(-1)! < row.page) yield this.#page(differ.pop()!);
      if (differ.at(-1) === row.page) yield this.#page(differ.pop()!);
      else yield JSON.parse(row.json) as Page;
    }
    while (differ.length > 0) yield this.#page(differ.pop()!);
  }

  clear(): void {
    run(this.#sql, "DELETE FROM pages");
    this.forget();
  }
}

function pageOf(frame: number): number {
  return Math.floor(frame / PAGE_FRAMES);
}
