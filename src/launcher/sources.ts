/** The hash of sources, by which a build is known to be as new as they are. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { CHECKOUT } from "../cli/manager-record.ts";

function* filesOf(name: string): Generator<string> {
  const full = path.join(CHECKOUT, name);
  if (statSync(full).isFile()) yield name;
  else for (const entry of readdirSync(full).toSorted()) yield* filesOf(path.join(name, entry));
}

/** SHA-256 of all files below these paths of the checkout, their names included, but for tests. */
export function hashOfSources(sources: readonly string[]): string {
  const hash = createHash("sha256");
  for (const source of sources)
    for (const name of filesOf(source))
      if (!name.endsWith(".test.ts")) hash.update(`${name}\0`).update(readFileSync(path.join(CHECKOUT, name)));
  return hash.digest("hex");
}
