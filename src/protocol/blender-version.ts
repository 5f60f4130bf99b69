/**
 * Versions of Blender, and what a task needs of them. Files and pictures change with the minor version
 * (4.5), not with its patches (4.5.15), so a need names a minor version. Pure, and without a schema
 * library.
 */

/** The version that a program printed: `4.5.15`, `5.0.0`, `4.2.0-alpha`. */
const VERSION = /^(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?(?!\d)/;
/**
 * What a task can need: this minor version (`4.5`), or this or a newer one (`4.5+`). Stored and on the
 * wire.
 */
export const BLENDER_NEED = /^[1-9]\d{0,2}\.(?:0|[1-9]\d{0,2})\+?$/;
/** The setting of a task that any version may render, several of them together. */
export const ANY_BLENDER = "any";
/**
 * The first version of manager and agent that know the version of a command in a plan. A task that
 * needs a version names it in its needs: older agents refuse the plan, and would render with whatever
 * Blender they have.
 */
export const BLENDER_NEED_SINCE = "0.2.0";

/**
 * The request header in which an agent names its Blenders with every call, the one that it uses by
 * default first: `4.5.15, 3.4.1`. A task learns from it what the worker that claims has. A header,
 * because managers up to 0.1 refuse fields that they do not know.
 */
export const BLENDERS_HEADER = "Tablao-Blender";
/** The most Blenders of a worker: more would only be copies. The manager reads no more. */
export const MAX_BLENDERS = 16;
/** The most characters of one version in that header; others are left out. */
const MAX_VERSION_CHARS = 40;

/** The numbers of a version: major, minor, patch; undefined for a text that is none. */
function numbersOf(version: string): [number, number, number] | undefined {
  const found = VERSION.exec(version);
  return found ? [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)] : undefined;
}

/** `4.5.15` → `4.5`; undefined for a text that is no version. */
export function minorOf(version: string): string | undefined {
  const numbers = numbersOf(version);
  return numbers && `${numbers[0]}.${numbers[1]}`;
}

/** Compare two versions for sorting, the older one first. A text that is no version is older than all. */
export function compareVersions(a: string, b: string): number {
  const [left = [-1, 0, 0], right = [-1, 0, 0]] = [numbersOf(a), numbersOf(b)];
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

/** Whether `version` is of a newer minor version than `other`; false where one of them is no version. */
export function isNewerMinor(version: string, other: string): boolean {
  const [a, b] = [minorOf(version), minorOf(other)];
  return a !== undefined && b !== undefined && compareVersions(a, b) > 0;
}

/** Whether a Blender of this version is what `need` asks for. False for a text that is no version. */
export function meetsNeed(need: string, version: string): boolean {
  const minor = minorOf(version);
  if (minor === undefined) return false;
  return need.endsWith("+") ? compareVersions(minor, need.slice(0, -1)) >= 0 : minor === need;
}

/**
 * The Blender that a worker uses for a need: of those that meet it, the one of the oldest minor version,
 * which is nearest to the version that the file was saved by. Undefined when it has none.
 */
export function blenderFor(need: string, versions: readonly string[]): string | undefined {
  const fitting = versions.filter((version) => meetsNeed(need, version));
  const oldest = fitting.toSorted(compareVersions)[0];
  return oldest && newestOf(fitting.filter((version) => minorOf(version) === minorOf(oldest)));
}

/** The newest of these versions; undefined when there is none. */
export function newestOf(versions: readonly string[]): string | undefined {
  return versions.toSorted(compareVersions).at(-1);
}

/** The value of BLENDERS_HEADER; undefined when there is nothing to name. */
export function blendersHeader(versions: readonly string[]): string | undefined {
  return versions.length > 0 ? versions.slice(0, MAX_BLENDERS).join(", ") : undefined;
}

/** The versions that BLENDERS_HEADER names, in its order; what is no version is left out. */
export function blendersIn(header: string | null): string[] {
  if (header === null) return [];
  return header
    .slice(0, MAX_BLENDERS * (MAX_VERSION_CHARS + 2))
    .split(",", MAX_BLENDERS)
    .map((text) => text.trim())
    .filter((text) => text.length <= MAX_VERSION_CHARS && /^[\w.+-]+$/.test(text) && minorOf(text) !== undefined);
}
