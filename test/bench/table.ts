/** The table of results as Markdown, with the machine and the versions it was measured on. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Row } from "./case.ts";
import { CHECKOUT } from "./runtime.ts";

/** The file with all rows. `seconds`: how long the measurement took. */
export function markdown(rows: readonly Row[], seconds: number): string {
  const lines = rows.map(({ what, figure, detail, goal, reached }) => {
    const verdict = reached === null ? "not run" : reached ? "reached" : "**not reached**";
    return `| ${[what, figure, goal, verdict, detail].join(" | ")} |`;
  });
  return `# Benchmarks

Made by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}, in ${Math.round(seconds)} s. Every figure is a count, or a ratio of two things
measured in turns in one run on one machine; how is in \`test/bench/cases/\`. Counts are guarded by \`test/workerd/costs.test.ts\`.

${machine()}

| what | figure | to reach | | how it came about |
|---|---|---|---|---|
${lines.join("\n")}`;
}

function machine(): string {
  const cpu = os.cpus()[0]?.model.trim() ?? "unknown processor";
  const load = os.loadavg().map((value) => value.toFixed(1));
  return [
    `- machine: ${os.availableParallelism()} × ${cpu}, ${Math.round(os.totalmem() / 2 ** 30)} GB, ${os.type()} ${os.release()}`,
    `- load at the end (1, 5, 15 minutes): ${load.join(", ")}`,
    `- Node ${process.versions.node}, workerd ${versionOf("workerd")}, miniflare ${versionOf("miniflare")}, tablao ${commit()}`,
  ].join("\n");
}

function versionOf(name: string): string {
  const file = path.join(CHECKOUT, "node_modules", name, "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

function commit(): string {
  return execFileSync("git", ["describe", "--always", "--dirty"], { cwd: CHECKOUT, encoding: "utf8" }).trim();
}
