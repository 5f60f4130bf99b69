/** Compares what happened to a scene with what must happen. */
import type { Expectation } from "./corpus.ts";

/** What happened to a scene on the farm. */
export interface Outcome {
  /** `refused`: at submission, by the farm (no worker can do it), or on the worker. */
  verdict: "completed" | "refused";
  where: "submission" | "farm" | "worker";
  /** The reason of a refusal; otherwise empty. */
  words: string;
  /** What the finished task warns of. */
  warnings: readonly string[];
  /** How the pictures differ from those made by hand, a sentence for each frame; null: not compared. */
  differences: readonly string[] | null;
  /** How many leases of it were given out. */
  leases: number;
}

/** What is not as expected, in one sentence; null when all is. */
export function complaintOf(expect: Expectation, seen: Outcome): string | null {
  if (expect.kind === "refused") {
    if (seen.verdict !== "refused") return "completed, and had to be refused";
    if (!expect.words.test(seen.words)) return `refused with other words than ${expect.words}`;
    return expect.once && seen.leases !== 1 ? `refused by ${seen.leases} leases, and had to be by one` : null;
  }
  if (seen.verdict !== "completed") return "refused, and had to be completed";
  if (expect.kind === "same picture") {
    if (seen.differences === null) return "its pictures were not compared";
    if (seen.differences.length > 0) return `another picture: ${seen.differences.join("; ")}`;
  }
  const { warns } = expect;
  if (warns === undefined && seen.warnings.length > 0) return `a warning: ${seen.warnings.join("; ")}`;
  if (warns && !seen.warnings.some((warning) => warns.test(warning))) return `completed without a warning ${warns}`;
  return null;
}

/** What happened, in a few words. */
export function outcomeText(seen: Outcome): string {
  if (seen.verdict === "refused") return `refused (${seen.where}): ${seen.words.trim().split("\n").join(" / ")}`;
  const pictures =
    seen.differences === null
      ? ""
      : seen.differences.length === 0
        ? ", same picture"
        : `, ${seen.differences.join("; ")}`;
  const warned = seen.warnings.length === 0 ? ", no warning" : `, warns: ${seen.warnings.join(" / ")}`;
  return `completed${pictures}${warned}`;
}

/** The words of the table for what must happen. */
export function expectationText(expect: Expectation): string {
  if (expect.kind === "refused") return "refused";
  if (expect.kind === "completed") return "completed, warns";
  return expect.warns ? "same picture, warns" : "same picture";
}
