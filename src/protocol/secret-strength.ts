/**
 * How strong a secret is that a person may have chosen: the admin token and the signing key. All
 * other secrets are made by us, of 256 random bits.
 */

/**
 * Bits that a secret must be worth: what NIST SP 800-131A asks of a key. Whoever has a share link
 * can test guesses of the key that signed it without asking the manager, so the number of tries is
 * bounded by nothing else.
 */
const MIN_BITS = 112;

/**
 * Words that everybody tries first, and those of this service (NIST SP 800-63B, 3.1.1.2). Longer
 * words come first, so that no rest of them remains.
 */
const WORDS =
  /qwertyuiop|asdfghjkl|administrator|changeme|password|example|letmein|passwort|zxcvbnm|default|manager|welcome|qwerty|qwertz|secret|signing|tablao|render|change|master|access|dragon|monkey|token|admin|farm|pass|root|test|user|asdf|key/g;

/** A character five times; two or three characters three times; four or more, twice. */
const REPETITIONS = [/(.)\1{4,}/gs, /(.{2,3})\1{2,}/gs, /(.{4,}?)\1+/gs];

/** A run such as `12345` or `edcba` of at least this length counts as one character. */
const SHORTEST_RUN = 5;

/** The kinds of characters, and how many there are of each. Others count as one kind more. */
const KINDS: readonly (readonly [RegExp, number])[] = [
  [/[a-f]/, 6],
  [/[g-z]/, 20],
  [/[A-F]/, 6],
  [/[G-Z]/, 20],
  [/[0-9]/, 10],
  [/[^A-Za-z0-9]/, 8],
];

/**
 * Bits that a text is worth at most: those of as many random characters of the same kinds, without
 * common words, repetitions and runs.
 */
function secretBits(secret: string): number {
  // A word is as well known in capitals.
  let left = secret.replaceAll(new RegExp(WORDS, "gi"), "");
  for (const repetition of REPETITIONS) left = left.replaceAll(repetition, "$1");
  left = withoutRuns(left);
  const alphabet = KINDS.reduce((sum, [kind, count]) => sum + (kind.test(left) ? count : 0), 0);
  return alphabet === 0 ? 0 : left.length * Math.log2(alphabet);
}

/** Why this secret may not be used, and how to make a good one; null when it is strong enough. */
export function weakSecret(name: string, secret: string): string | null {
  if (secretBits(secret) >= MIN_BITS) return null;
  return (
    `${name} is too easy to guess: without common words, repetitions and sequences it must still have ` +
    "28 hexadecimal digits, or 20 random letters and digits. Make one with `openssl rand -hex 32`."
  );
}

/** The text with one character in the place of each run. */
function withoutRuns(text: string): string {
  let left = "";
  for (let from = 0; from < text.length;) {
    const step = stepAt(text, from);
    let to = from + 1;
    if (Math.abs(step) === 1) while (stepAt(text, to - 1) === step) to++;
    // The last character of a short run may begin the next one.
    if (to - from < SHORTEST_RUN) to = from + 1;
    left += text[from];
    from = to;
  }
  return left;
}

/** From this character's code to that of the next; NaN for the last one. */
function stepAt(text: string, at: number): number {
  return text.charCodeAt(at + 1) - text.charCodeAt(at);
}
