/**
 * The rules of a relative path, without a schema: the page checks the names of dropped files with them.
 */
/**
 * Characters that a line of text may not have: control characters, and the marks that reverse the
 * order in which a text is shown. Unicode's second block of control characters is included, because
 * a terminal may take U+009B for the start of an escape sequence.
 */
// eslint-disable-next-line no-control-regex
export const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/** The most characters of a relative path. Stored tasks have such paths, so with less they could not be changed. */
export const MAX_PATH_CHARS = 512;

const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i;

/**
 * The rule that a relative path breaks, as a phrase ("must not contain …"); undefined when it
 * breaks none.
 */
export function whyUnsafePath(path: string): string | undefined {
  if (isPlainPath(path)) return undefined;
  if (CONTROL.test(path)) return "must not contain control characters";
  if (/[\\:*?"<>|]/.test(path)) return 'must not contain \\ : * ? " < > |';
  for (const segment of path.split("/")) {
    if (segment === "") return "must be relative, with single '/' between names";
    if (segment === "." || segment === "..") return "must not contain '.' or '..' segments";
    if (RESERVED.test(segment)) return `must not use the reserved name '${segment}'`;
    if (/[. ]$/.test(segment)) return "must not have a name that ends in a dot or blank";
    // A character of a text has at most three bytes in UTF-8.
    if (segment.length > 85 && new TextEncoder().encode(segment).length > 255)
      return "must not have a name longer than 255 bytes";
  }
  return undefined;
}

/** The same with the bound on its length: why a path cannot be that of an input. */
export function whyNoInputPath(path: string): string | undefined {
  return path.length > MAX_PATH_CHARS ? `must not be longer than ${MAX_PATH_CHARS} characters` : whyUnsafePath(path);
}

/**
 * Whether a path surely breaks no rule, in one look at each character. A submission has 10,000
 * paths, and the rules one by one cost ten times as much as to parse it.
 */
export function isPlainPath(path: string): boolean {
  let begin = 0;
  let last = SLASH;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === SLASH) {
      if (!isPlainName(path, begin, i, last)) return false;
      begin = i + 1;
    } else if (code < 128 ? PLAIN[code] === 0 : code < 0xa0 || (code >= 0x2028 && code <= 0x2069)) return false;
    last = code;
  }
  return isPlainName(path, begin, path.length, last);
}

/** Whether the name from `begin` to `end`, whose last character is `last`, surely breaks no rule of names. */
function isPlainName(path: string, begin: number, end: number, last: number): boolean {
  const length = end - begin;
  // A character of a text has at most three bytes in UTF-8.
  if (length === 0 || length > 85 || last === DOT || last === BLANK) return false;
  return length < 3 || !isReserved(path, begin);
}

const [SLASH, DOT, BLANK] = [0x2f, 0x2e, 0x20];

/** 1 for the characters of ASCII that a path may have. */
const PLAIN = Uint8Array.from({ length: 128 }, (_, code) =>
  code >= 0x20 && code < 0x7f && !'\\:*?"<>|'.includes(String.fromCharCode(code)) ? 1 : 0,
);

/** Whether the name at `begin` is one that Windows reserves, such as `con`, `con.png` or `com1`. */
function isReserved(path: string, begin: number): boolean {
  // The bit 32 makes a letter lower-case.
  const letters =
    ((path.charCodeAt(begin) | 32) << 16) |
    ((path.charCodeAt(begin + 1) | 32) << 8) |
    (path.charCodeAt(begin + 2) | 32);
  let end = begin + 3;
  if (letters === COM || letters === LPT) {
    const digit = path.charCodeAt(end++);
    if (!(digit >= 0x30 && digit <= 0x39)) return false;
  } else if (letters !== AUX && letters !== CON && letters !== NUL && letters !== PRN) return false;
  return end >= path.length || path.charCodeAt(end) === DOT || path.charCodeAt(end) === SLASH;
}

const [AUX, CON, NUL, PRN, COM, LPT] = ["aux", "con", "nul", "prn", "com", "lpt"].map(
  (name) => (name.charCodeAt(0) << 16) | (name.charCodeAt(1) << 8) | name.charCodeAt(2),
) as [number, number, number, number, number, number];

/**
 * Files that systems, version control and Blender's own backups leave in folders; no task needs
 * them.
 */
const JUNK = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*|\.git\/.*)$|\.blend\d+$/i;

/** Whether no task needs the file with this relative path. */
export function isJunk(path: string): boolean {
  return JUNK.test(path);
}

/**
 * The form of a path by which Windows and macOS compare it: two paths with the same form are one
 * file there.
 */
export function foldedPath(path: string): string {
  return path.normalize("NFC").toLowerCase();
}
