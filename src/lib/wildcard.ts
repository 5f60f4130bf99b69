/** Patterns of names: `*` (any characters), `?` (one character), `[abc]`, `[a-c]` and `[!abc]` (one of a set). */

/**
 * Whether a path fits the pattern, in any case of letters: the whole path where the pattern has a `/`,
 * and the last name of it otherwise. `*` also stands for `/`.
 */
export function fitsPattern(pattern: string, path: string): boolean {
  const slashed = pattern.replaceAll("\\", "/").toLowerCase();
  const whole = path.replaceAll("\\", "/").toLowerCase();
  return fitsText(slashed, slashed.includes("/") ? whole : whole.slice(whole.lastIndexOf("/") + 1));
}

/**
 * Whether the whole text fits the pattern, as `fnmatchcase` of Python decides it: a `[` without its `]` stands for
 * itself. The time is at most the product of the lengths, whatever they hold.
 */
export function fitsText(pattern: string, text: string): boolean {
  const tokens = tokensOf(pattern);
  const letters = Array.from(text);
  let [at, token] = [0, 0];
  // Where the last `*` was, and from which letter what follows it is tried.
  let [star, from] = [-1, 0];
  while (at < letters.length) {
    const next = tokens[token];
    if (next === "any") [star, from] = [token++, at];
    else if (next?.(letters[at]!) === true) [at, token] = [at + 1, token + 1];
    else if (star === -1) return false;
    else [token, at] = [star + 1, ++from];
  }
  while (tokens[token] === "any") token++;
  return token === tokens.length;
}

/** One letter that fits, or any number of them. */
type Token = "any" | ((letter: string) => boolean);

function tokensOf(pattern: string): Token[] {
  const letters = Array.from(pattern);
  const tokens: Token[] = [];
  for (let i = 0; i < letters.length; i++) {
    const letter = letters[i]!;
    if (letter === "*") tokens.push("any");
    else if (letter === "?") tokens.push(() => true);
    else if (letter === "[") {
      const begin = letters[i + 1] === "!" ? i + 2 : i + 1;
      // A `]` that comes first belongs to the set.
      const end = letters.indexOf("]", begin + 1);
      if (end === -1) tokens.push((one) => one === "[");
      else {
        const set = letters.slice(begin, end);
        const isNot = begin === i + 2;
        tokens.push((one) => isInSet(set, one) !== isNot);
        i = end;
      }
    } else tokens.push((one) => one === letter);
  }
  return tokens;
}

function isInSet(set: readonly string[], letter: string): boolean {
  for (let i = 0; i < set.length; i++) {
    const last = set[i + 2];
    if (set[i + 1] === "-" && last !== undefined) {
      if (set[i]! <= letter && letter <= last) return true;
      i += 2;
    } else if (set[i] === letter) return true;
  }
  return false;
}
