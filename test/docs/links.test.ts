/** Documents name files and link to each other; this keeps them true when files move. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
const DOCUMENTS = globSync(["*.md", "docs/**/*.md", "examples/**/*.md"], { cwd: ROOT });

/** Names of files and folders of this repository, as documents write them: `src/task/task-do.ts`. */
const NAMED_PATH = /`((?:src|test|schema|scripts|examples|docs)\/[\w./-]*[\w/])`/g;
const LINK = /\]\(([^)\s]+)\)/g;

/** What a document names that is not there. */
function missingIn(document: string): string[] {
  const text = readFileSync(path.join(ROOT, document), "utf8");
  const named = [...text.matchAll(NAMED_PATH)].map((match) => path.join(ROOT, match[1]!));
  const linked = [...text.matchAll(LINK)]
    .map((match) => match[1]!.split("#")[0]!)
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target))
    .map((target) => path.resolve(ROOT, path.dirname(document), target));
  return [...named, ...linked].filter((file) => !existsSync(file)).map((file) => path.relative(ROOT, file));
}

describe("documents name only files that exist", () => {
  test.each(DOCUMENTS)("%s", (document) => {
    expect(missingIn(document)).toEqual([]);
  });
});
