/**
 * The version of manager, agent and command line, which are released together. A test fails when it
 * differs from that of package.json.
 */
export const VERSION = "0.2.0";

const FORM = /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})(-[^+]*)?(\+.*)?$/;

/**
 * Whether a version (of SemVer 2.0.0, https://semver.org) is `least` or a newer one. False for a
 * text that is none. A pre-release is older than its release.
 */
export function isAtLeast(version: string, least: string): boolean {
  const [is, wanted] = [FORM.exec(version), FORM.exec(least)];
  if (!is || !wanted) return false;
  for (const index of [1, 2, 3]) {
    const difference = Number(is[index]) - Number(wanted[index]);
    if (difference !== 0) return difference > 0;
  }
  return is[4] === undefined;
}
