/** What a model check has found, as text. */
import type { Answer } from "./explorer-thread.ts";
import type { Mutation } from "./mutations.ts";

const number = new Intl.NumberFormat("en");

/** A line for each configuration and their sum; the trace where a promise is broken. */
export function reportTable(answers: readonly Answer[]): { text: string; broken: boolean } {
  const lines = ["configuration                            states     ledgers   transitions  depth  seconds"];
  let broken = false;
  const sum = { states: 0, ledgers: 0, transitions: 0, depth: 0, seconds: 0 };
  const line = (name: string, of: typeof sum): string =>
    `${name.padEnd(37)}${number.format(of.states).padStart(10)}${number.format(of.ledgers).padStart(12)}${number.format(of.transitions).padStart(14)}${String(of.depth).padStart(7)}${of.seconds.toFixed(1).padStart(9)}`;
  for (const { reports, error } of answers) {
    if (error !== null) {
      broken = true;
      lines.push(error);
    }
    for (const report of reports) {
      lines.push(line(report.configuration, report) + (report.complete || report.broken ? "" : "  (cut)"));
      for (const key of ["states", "ledgers", "transitions", "seconds"] as const) sum[key] += report[key];
      sum.depth = Math.max(sum.depth, report.depth);
      if (!report.complete) broken = true;
      if (!report.broken) continue;
      broken = true;
      lines.push(`  broken: ${report.broken.message}`, ...report.broken.trace.map((step) => `    ${step}`));
    }
  }
  lines.push(line("together", sum));
  return { text: lines.join("\n"), broken };
}

/** A line for each mutation: the promise that it breaks, and after how many moves. */
export function mutationTable(
  mutations: readonly Mutation[],
  answers: readonly Answer[],
): { text: string; survivors: string[]; errors: string[] } {
  const survivors: string[] = [];
  const errors: string[] = [];
  const lines = mutations.map((mutation, index) => {
    const { reports, error } = answers[index]!;
    const broken = reports.at(-1)?.broken;
    if (error !== null) errors.push(`${mutation.name}: ${error}`);
    else if (!broken) survivors.push(mutation.name);
    const found = broken
      ? `${String(broken.trace.length - 1).padStart(2)} moves  ${broken.message.slice(0, 110)}`
      : (error?.split("\n")[0] ?? "NOT FOUND");
    return `${mutation.name.padEnd(62)} ${found}`;
  });
  lines.push(`${mutations.length} mutations, ${survivors.length} not found, ${errors.length} that cannot run`);
  return { text: lines.join("\n"), survivors, errors };
}
