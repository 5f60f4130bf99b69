/**
 * Tasks that the live view has left out, asked of the manager: all pages of a list or of a search, a
 * few at a time. They are added to the live view's tasks, which keeps them up to date from then on.
 */
import { effect, signal } from "@preact/signals";
import type { TaskSummary } from "../../protocol/task.ts";
import { get, withQuery } from "./api.ts";
import { addTasks, snapshots } from "./farm.ts";
import { messageOf } from "./problem.ts";

/** Which tasks a list shows. */
export type Shown = "open" | "ended" | "all";

interface TaskPage {
  tasks: TaskSummary[];
  cursor: string | null;
}

/** Entries of a page; the most that the manager sends at once. */
const PAGE = 500;
/** A page looks at 1,000 tasks. After so many pages without a match the viewer says whether to go on. */
const PAGES_AT_ONCE = 10;

/** One list of one view. `ask` names the list; it is read when `more` is called. */
export class MoreTasks {
  /** Whether the manager is being asked. */
  readonly busy = signal(false);
  /** Why the last request failed. */
  readonly wrong = signal<string | null>(null);
  /** Whether the manager has no more tasks of this list: all of them are in the live view's tasks. */
  readonly complete = signal(false);
  #query: { shown: Shown; search: string } = { shown: "open", search: "" };
  #cursor: string | null = null;
  #abort = new AbortController();
  /** A snapshot replaces all tasks, those that were added included. */
  readonly #unsubscribe = effect(() => {
    void snapshots.value;
    this.#begin();
  });

  /** Another list, or another search. */
  ask(shown: Shown, search: string): void {
    if (this.#query.shown === shown && this.#query.search === search) return;
    this.#query = { shown, search };
    this.#begin();
  }

  #begin(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#cursor = null;
    this.complete.value = false;
    this.wrong.value = null;
    this.busy.value = false;
  }

  close(): void {
    this.#abort.abort();
    this.#unsubscribe();
  }

  /** Ask for the next page, and while nothing of it is new, for those after it. */
  async more(): Promise<void> {
    const { signal } = this.#abort;
    this.busy.value = true;
    this.wrong.value = null;
    try {
      for (let page = 0; page < PAGES_AT_ONCE && !this.complete.peek(); page++) {
        const { shown, search } = this.#query;
        const query = {
          search: search.slice(0, 200),
          state: shown === "all" ? null : shown,
          order: shown === "ended" ? "ended" : null,
          limit: PAGE,
          cursor: this.#cursor,
        };
        const answer = await get<TaskPage>(withQuery("/tasks", query), signal);
        if (signal.aborted) return;
        this.#cursor = answer.cursor;
        this.complete.value = answer.cursor === null;
        if (addTasks(answer.tasks) > 0) break;
      }
    } catch (thrown) {
      if (!signal.aborted) this.wrong.value = messageOf(thrown);
    } finally {
      if (!signal.aborted) this.busy.value = false;
    }
  }
}
