/** Sets of files that a .blend names by one of them: numbered sequences, and the tiles of UDIM textures. */

/** The name of a numbered file in parts: `img_0001.png` → `img_`, 4 digits, `.png`. */
export interface NumberedName {
  before: string;
  digits: number;
  number: number;
  after: string;
}

/** The parts of a name by its last digits, as Blender splits it; undefined for a name without digits. */
export function numberedName(name: string): NumberedName | undefined {
  const match = /^(.*?)(\d+)(\D*)$/s.exec(name);
  if (!match) return undefined;
  const [, before = "", digits = "", after = ""] = match;
  return { before, digits: digits.length, number: Number(digits), after };
}

/** The name of one number of the sequence: at least as many digits as the named file has. */
export function nameOfNumber({ before, digits, after }: NumberedName, number: number): string {
  return `${before}${String(number).padStart(digits, "0")}${after}`;
}

/** Those of `names` that belong to the sequence, by number. */
export function sequenceIn(names: readonly string[], sequence: NumberedName): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of names) {
    const one = numberedName(name);
    if (one?.before !== sequence.before || one.after !== sequence.after) continue;
    // `img_10.png` does not belong to `img_0001.png`, because Blender asks for `img_0010.png`.
    if (nameOfNumber(sequence, one.number) === name) found.set(one.number, name);
  }
  return found;
}

const TILE = /<(UDIM|UVTILE)>/;

/** Whether the path stands for the tiles of a texture. */
export function isTiled(path: string): boolean {
  return TILE.test(path);
}

/** The path of one tile. `<UDIM>` stands for its number (1001 …), `<UVTILE>` for `u1_v1`: column and row from 1. */
export function tilePath(path: string, tile: number): string {
  const [u, v] = [((tile - 1_001) % 10) + 1, Math.floor((tile - 1_001) / 10) + 1];
  return path.replace(TILE, (_, token: string) => (token === "UDIM" ? String(tile) : `u${u}_v${v}`));
}

/** Those of `names` that are tiles of the texture with this name. */
export function tilesIn(names: readonly string[], name: string): string[] {
  const [before = "", token = "", after = ""] = name.split(TILE);
  const inside = token === "UDIM" ? /^1\d{3}$/ : /^u\d+_v\d+$/;
  return names.filter(
    (one) =>
      one.length > before.length + after.length &&
      one.startsWith(before) &&
      one.endsWith(after) &&
      inside.test(one.slice(before.length, one.length - after.length)),
  );
}

/** Numbers as ranges, for people: `3-5, 9`. At most `most` ranges, then `and 7 more`. */
export function rangesText(numbers: readonly number[], most = 5): string {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  const texts = ranges.slice(0, most).map(([from, to]) => (from === to ? String(from) : `${from}-${to}`));
  const left = ranges.slice(most).reduce((sum, [from, to]) => sum + to - from + 1, 0);
  return left > 0 ? `${texts.join(", ")} and ${left} more` : texts.join(", ");
}
