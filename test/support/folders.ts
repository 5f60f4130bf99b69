/** Folders of their own for tests, removed at the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";

/**
 * An empty folder. It is removed when the current test ends; one that is made outside a test is
 * removed with `remove`.
 */
export function temporaryFolder(name = "test"): { path: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), `tablao-${name}-`));
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  return { path: folder, remove };
}

/** An empty folder that is removed when the current test ends. Call it inside a test. */
export function testFolder(name = "test"): string {
  const folder = temporaryFolder(name);
  onTestFinished(() => folder.remove());
  return folder.path;
}
