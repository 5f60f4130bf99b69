/** Patterns of names with `*` (any characters) and `?` (one character), as shells have them. */

/**
 * Whether a path fits the pattern, in any case of letters: the whole path where the pattern has a `/`,
 * and the last name of it otherwise. `*` also stands for `/`. Linear in the length of both, whatever they hold.
 */
export function fitsPattern(pattern: string, path: string): boolean {
  const slashed = pattern.replaceAll("\\", "/").toLowerCase();
  const whole = path.replaceAll("\\", "/").toLowerCase();
  return fits(slashed, slashed.includes("/") ? whole : whole.slice(whole.lastIndexOf("/") + 1));
}

function fits(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return text.length === first.length && matchesAt(first, text, 0);
  if (!matchesAt(first, text, 0)) return false;
  const last = rest.pop()!;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of rest) {
    while (at + part.length <= end && !matchesAt(part, text, at)) at++;
    if (at + part.length > end) return false;
    at += part.length;
  }
  return at <= end && matchesAt(last, text, end);
}

/** Whether the text has the part, in which `?` stands for any character, at this place. */
function matchesAt(part: string, text: string, at: number): boolean {
  if (at < 0 || at + part.length > text.length) return false;
  for (let i = 0; i < part.length; i++) if (part[i] !== "?" && part[i] !== text[at + i]) return false;
  return true;
}
