/** The committed files of a task, or of some of its frames. */
import type { FileList } from "../../protocol/file.ts";
import { get, withQuery } from "../lib/api.ts";

/** A committed file. */
export type TaskFile = FileList["files"][number];

/** The most files of a page that the manager gives. */
const PAGE = 1_000;

/**
 * Read the whole list, in frame order. `frames`: ascending frame lists; null for all frames.
 * `onProgress` is told how many files are known so far.
 */
export async function listFiles(
  taskId: number,
  frames: readonly string[] | null,
  onProgress: (files: number) => void,
  signal: AbortSignal,
): Promise<TaskFile[]> {
  const files: TaskFile[] = [];
  for (const list of frames ?? [null]) {
    let cursor: string | null = null;
    do {
      const path: string = withQuery(`/tasks/${taskId}/files`, { frames: list, limit: PAGE, cursor });
      const page: FileList = await get<FileList>(path, signal);
      files.push(...page.files);
      onProgress(files.length);
      cursor = page.cursor;
    } while (cursor !== null);
  }
  return files;
}
