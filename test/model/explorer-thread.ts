/** One thread: explores configurations with the code as it is, or with one mutation in it. */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import type { Report } from "./explore.ts";
import type { Mutation } from "./mutations.ts";

export interface Job {
  /** The module whose `explore` is called with each configuration. */
  explorer: Explorer;
  configurations: readonly { name: string }[];
  mutation: Mutation | null;
}

/** The lease protocol, and the sweep of inputs. */
export type Explorer = "explore.ts" | "inputs/explore.ts";

/**
 * A job's answer: reports up to the first broken promise; `error` says why the job could not be
 * done.
 */
export type Answer = { reports: Report[]; error: null } | { reports: Report[]; error: string };

const ROOT = new URL("../../", import.meta.url);

/** The source of every mutated file. Throws when a text is not found exactly once. */
function mutated(mutation: Mutation): Map<string, string> {
  const sources = new Map<string, string>();
  for (const [file, from, to] of mutation.edits) {
    const url = new URL(file, ROOT).href;
    const source = sources.get(url) ?? readFileSync(fileURLToPath(url), "utf8");
    const parts = source.split(from);
    if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${from}`);
    sources.set(url, parts.join(to));
  }
  return sources;
}

type Explore = (configuration: { name: string }) => Report | Promise<Report>;

/** Loaded after the faults are planted. */
async function explorerOf(explorer: Explorer): Promise<Explore> {
  if (explorer === "explore.ts") {
    const { explore } = (await import(
      pathToFileURL(fileURLToPath(new URL("./explore.ts", import.meta.url))).href
    )) as typeof import("./explore.ts");
    return explore as Explore;
  }
  const { explore } = (await import(
    pathToFileURL(fileURLToPath(new URL("./inputs/explore.ts", import.meta.url))).href
  )) as typeof import("./inputs/explore.ts");
  return explore as Explore;
}

async function work({ explorer, configurations, mutation }: Job): Promise<Answer> {
  const reports: Report[] = [];
  try {
    if (mutation) {
      const sources = mutated(mutation);
      registerHooks({
        load: (url, context, next) => {
          const source = sources.get(url);
          return source === undefined
            ? next(url, context)
            : { format: "module-typescript", source, shortCircuit: true };
        },
      });
    }
    const explore = await explorerOf(explorer);
    for (const configuration of configurations) {
      const report = await explore(configuration);
      reports.push(report);
      if (report.broken) break;
    }
    return { reports, error: null };
  } catch (error) {
    return { reports, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort!.postMessage(await work(workerData as Job), []);
