/** Values that are too long for one row of SQLite, divided into several. Pure. */

/**
 * Longer values are put into several rows. A row may hold 2 MB on Cloudflare
 * (https://developers.cloudflare.com/durable-objects/platform/limits/), and a character may take 4
 * bytes.
 */
export const MAX_ROW_CHARS = 500_000;

/** Items in their order, as JSON lists that fit into a row each. */
export function inRows<T>(items: Iterable<T>): { items: T[]; json: string }[] {
  const rows: { items: T[]; texts: string[]; chars: number }[] = [];
  for (const item of items) {
    const text = JSON.stringify(item);
    let row = rows.at(-1);
    if (!row || row.chars + text.length > MAX_ROW_CHARS) rows.push((row = { items: [], texts: [], chars: 0 }));
    row.items.push(item);
    row.texts.push(text);
    row.chars += text.length + 1;
  }
  return rows.map((row) => ({ items: row.items, json: `[${row.texts.join()}]` }));
}

/**
 * A text in pieces that fit into a row each. No cut is inside a surrogate pair: SQLite stores
 * UTF-8, which has no half of one.
 */
export function splitText(text: string): string[] {
  const pieces: string[] = [];
  for (let from = 0; from < text.length;) {
    let to = Math.min(text.length, from + MAX_ROW_CHARS);
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to--;
    pieces.push(text.slice(from, to));
    from = to;
  }
  return pieces;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
