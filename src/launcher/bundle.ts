/** Bundles a Worker of the checkout into one module, as a deployment is bundled. */
import { build } from "vite";
import { CHECKOUT } from "../cli/manager-record.ts";

/** Bundle an entry (a path in the checkout) for workerd; returns the code of its one module. */
export async function bundle(entry: string): Promise<string> {
  const built = await build({
    configFile: false,
    root: CHECKOUT,
    logLevel: "error",
    ssr: { noExternal: true, target: "webworker" },
    build: {
      ssr: entry,
      write: false,
      minify: false,
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
