/**
 * Packs the text of a program for a command line: Windows takes 32,767 characters for a whole command, and the
 * program for Blender is nearly as long. Repeated parts become references to their first place (LZ77), written in
 * printable ASCII, so that the text does not depend on how a system encodes arguments. Pure.
 */

/** Begins a reference. The texts that are packed do not have it. */
const MARK = "`";
/** The digits of a reference: printable ASCII without those that a string literal escapes, and without MARK. */
const DIGITS = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter((c) => !'"\\`'.includes(c));
/** A reference takes four characters: MARK, two digits of the distance, one of the length. */
const REFERENCE = 4;
const MAX_DISTANCE = DIGITS.length ** 2 - 1;
const MAX_LENGTH = REFERENCE + DIGITS.length;
/** Places of the same four characters that are compared. More make the text hardly shorter. */
const MAX_TRIED = 32;

/** The packed text. Throws when the text has the character that begins a reference: that is a bug. */
export function packed(text: string): string {
  if (text.includes(MARK)) throw new Error(`a text that is packed must not have ${MARK}`);
  const places = new Map<string, number[]>();
  let out = "";
  for (let at = 0; at < text.length;) {
    const { length, distance } = longest(text, at, places.get(text.slice(at, at + REFERENCE)) ?? []);
    const taken = length > REFERENCE ? length : 1;
    if (taken === 1) out += text[at];
    else {
      const digits = [Math.floor(distance / DIGITS.length), distance % DIGITS.length, length - REFERENCE - 1];
      out += MARK + digits.map((digit) => DIGITS[digit]!).join("");
    }
    for (let i = at; i < at + taken; i++) {
      const key = text.slice(i, i + REFERENCE);
      const known = places.get(key);
      if (known) known.push(i);
      else places.set(key, [i]);
    }
    at += taken;
  }
  return out;
}

function longest(text: string, at: number, places: readonly number[]): { length: number; distance: number } {
  let [length, distance] = [0, 0];
  for (const place of places.slice(-MAX_TRIED)) {
    // A reference must not reach into what it stands for: the reader copies whole parts.
    const most = Math.min(MAX_LENGTH, at - place, text.length - at);
    let same = 0;
    while (same < most && text[place + same] === text[at + same]) same++;
    if (same > length && at - place <= MAX_DISTANCE) [length, distance] = [same, at - place];
  }
  return { length, distance };
}

/** A Python program that runs a packed one. `literal` is a Python string literal of the packed text. */
export function unpackingPython(literal: string): string {
  return [
    `packed, text, at = ${literal}, "", 0`,
    `digits = [chr(i) for i in range(33, 127) if chr(i) not in '"\\\\\\x60']`,
    "while at < len(packed):",
    ` if packed[at] != "\\x60": text, at = text + packed[at], at + 1`,
    " else:",
    "  a, b, c = [digits.index(digit) for digit in packed[at + 1:at + 4]]",
    "  start = len(text) - a * len(digits) - b",
    `  text, at = text + text[start:start + c + ${REFERENCE + 1}], at + 4`,
    'exec(compile(text, "<string>", "exec"))',
  ].join("\n");
}
