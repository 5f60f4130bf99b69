/** What the model check has found: as text for a terminal, and as the tables of docs/reliability.md. */
import type { Answer } from "./explorer-thread.ts";
import type { Mutation } from "./mutations.ts";

/** The file below docs/ that holds the tables. */
export const DOC = "reliability.md";

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

/** The table of worlds for the documentation: what is the same in every run, so not the seconds. */
export function worldRows(answers: readonly Answer[]): string[] {
  const reports = answers.flatMap((answer) => answer.reports);
  const sum = (key: "states" | "transitions"): string => number.format(reports.reduce((n, one) => n + one[key], 0));
  return [
    "| world | states | transitions | depth |",
    "|---|---:|---:|---:|",
    ...reports.map(
      ({ configuration, states, transitions, depth }) =>
        `| ${configuration} | ${number.format(states)} | ${number.format(transitions)} | ${depth} |`,
    ),
    `| **together** | **${sum("states")}** | **${sum("transitions")}** | **${Math.max(...reports.map(({ depth }) => depth))}** |`,
  ];
}

/** What the promise that finds a fault is about, in words. */
const ABOUT: Record<string, string> = {
  P1: "one state, true counters",
  P2: "one lease, the fencing token",
  P3: "committed once, right bytes",
  P4: "restarts",
  P5: "silent workers, alarms",
  P6: "failures and lost time counted apart",
  P7: "history",
  P8: "priority",
  P9: "identity",
  P10: "refusals",
  P11: "files",
  P12: "the right frames of another task, one Blender",
  P13: "lost alarms",
  P14: "inputs in use",
};
const EXAMPLES = 4;

/** The table of mutations for the documentation: how many each promise finds, the most first. */
export function mutationRows(mutations: readonly Mutation[], answers: readonly Answer[]): string[] {
  const found = new Map<string, string[]>();
  for (const [index, { name }] of mutations.entries()) {
    const promise = answers[index]!.reports.at(-1)?.broken?.promise ?? "nothing";
    found.set(promise, [...(found.get(promise) ?? []), name]);
  }
  const rows = [...found].toSorted(
    ([a, some], [b, others]) => others.length - some.length || a.localeCompare(b, "en", { numeric: true }),
  );
  return [
    "| found by | faults | for example |",
    "|---|---:|---|",
    ...rows.map(
      ([promise, names]) =>
        `| ${promise}${ABOUT[promise] ? ` ${ABOUT[promise]}` : ""} | ${names.length} | ${names.slice(0, EXAMPLES).join("; ")} |`,
    ),
    `| **together** | **${mutations.length}** | |`,
  ];
}
