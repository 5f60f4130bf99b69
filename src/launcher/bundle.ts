/** Bundles a Worker of the checkout into one module, as a deployment is bundled. */
import { build } from "vite";
import { CHECKOUT } from "../cli/manager-record.ts";

/**
 * Bundle an entry (a path in the checkout `root`) for workerd; returns the code of its one module. `minify` makes it
 * a third as long; then errors no longer name the lines of the source.
 */
export async function bundle(entry: string, { root = CHECKOUT, minify = false } = {}): Promise<string> {
  const built = await build({
    configFile: false,
    root,
    logLevel: "error",
    ssr: { noExternal: true, target: "webworker" },
    build: {
      ssr: entry,
      write: false,
      minify,
      target: "esnext",
      rolldownOptions: { external: [/^cloudflare:/], output: { format: "es" } },
    },
  });
  const output = Array.isArray(built) ? built[0]! : built;
  if (!("output" in output)) throw new Error("vite watches instead of building");
  const chunks = output.output.filter((chunk) => chunk.type === "chunk");
  if (chunks.length !== 1) throw new Error(`${entry} became ${chunks.length} modules`);
  return chunks[0]!.code;
}
