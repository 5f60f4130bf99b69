/** The search of task lists: the same words find the same tasks on the page, in the API and in the CLI. Pure. */
import type { TaskSummary } from "./task.ts";

/** More than anybody types. */
export const MAX_SEARCH = 200;

/** What the words of a search are looked for in. */
export type Searched = Pick<TaskSummary, "id" | "name" | "type" | "owner" | "status">;

/** The words of a search, in lower case. */
export function wordsOf(search: string): string[] {
  return search.toLowerCase().split(/\s+/).filter(Boolean);
}

/**
 * Whether a task has all these words in its number, name, type, owner or status; `#12` and `12` find
 * its number. `words` are in lower case.
 */
export function hasWords(task: Searched, words: readonly string[]): boolean {
  const about = `#${task.id} ${task.name} ${task.type} ${task.owner} ${task.status}`.toLowerCase();
  return words.every((word) => about.includes(word));
}
