/**
 * Rows of the frames that have been touched, PAGE_FRAMES to a row. What changed since they were last written is in memory, and in
 * the journal until then: every reading goes over both.
 */
import { all, first, run, type SqlRow } from "../../platform/sql.ts";
import type { FrameTable, FrameEntry } from "../rules/ledger.ts";

/** Frames to a page: one row of a few kilobytes, and a chunk of 10 touches one or two. */
export const PAGE_FRAMES = 16;

/** Pages kept in memory, a megabyte: those of a hot task, and of what changed since pages that watch it were last told. */
const CACHED_PAGES = 256;

/** Pages read at once: some hundred kilobytes. */
const MAX_READ_PAGES = 64;

type Page = Record<string, FrameEntry>;
interface PageRow extends SqlRow {
  page: number;
  json: string;
}

export class FramePages {
  readonly #sql: SqlStorage;
  readonly #pages = new Map<number, Page>();
  /** Pages that differ from their rows. */
  readonly #dirty = new Set<number>();
  /** Frames that changed since `flushed` was last called; null where there is no entry any more. */
  readonly changed = new Map<number, FrameEntry | null>();
  readonly frameTable: FrameTable = {
    get: (frame) => this.#page(pageOf(frame))[frame],
    set: (frame, entry) => this.#set(frame, entry),
  };

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The journal holds what has changed. */
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

  /** Forget everything held in memory: a transition that threw may have left it half-changed. */
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

  /** Touched frames from `from` on, ascending, page by page; consume before the next `await`. */
  *entries(from = -Infinity): Generator<[number, FrameEntry]> {
    const firstPage = from === -Infinity ? -(2 ** 40) : pageOf(from);
    for (const page of this.#overlaid(this.#rows(firstPage), firstPage)) {
      const items = Object.entries(page).map(([frame, entry]) => [Number(frame), entry] as [number, FrameEntry]);
      for (const item of items.sort((a, b) => a[0] - b[0])) if (item[0] >= from) yield item;
    }
  }

  /** Rows of pages in their order, read as they are asked for; no cursor is left half-read (see `openTasks`). */
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
    // Read to the end, a row at a time: a task may have more of them than fit into memory.
    const rows = this.#sql.exec<PageRow>("SELECT page, json FROM pages WHERE failed > 0 ORDER BY page");
    for (const page of this.#overlaid(rows, -Infinity)) {
      for (const [frame, entry] of Object.entries(page)) if (entry.state === "failed") frames.push(Number(frame));
    }
    return frames;
  }

  /** Pages by number, those in memory instead of the rows they differ from. */
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
