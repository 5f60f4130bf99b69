/** Versions of Blender in simulated farms, and which one may render what: the tests' own rules. */

/** What a worker is: an agent of this release, or one of 0.1, which tells of one Blender and of no lease's. */
export interface Machine {
  /** The one that it uses by default first. */
  blenders: readonly string[];
  release: "0.1.0" | "0.2.0";
}

/** What a task needs: `4.5`, `4.5+`, `any`, or undefined where the client did not say (any). */
export type Need = string | undefined;

function numbersOf(version: string): [number, number] {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return [major, minor];
}

/** `4.5.15` → `4.5` */
export function minorOf(version: string): string {
  return numbersOf(version).join(".");
}

/** Whether a task of this need may be rendered by this version. Not the product's own rule: it checks that. */
export function mayRender(need: Need, version: string): boolean {
  if (need === undefined || need === "any") return true;
  const [major, minor] = numbersOf(version);
  const [least, leastMinor] = numbersOf(need.replace("+", ""));
  if (!need.endsWith("+")) return major === least && minor === leastMinor;
  return major > least || (major === least && minor >= leastMinor);
}
