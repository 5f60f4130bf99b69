/** Tables as CSV (RFC 4180), for spreadsheets. */

type Cell = string | number | null;

/** Whether the caller wants CSV: `?format=` decides; without it, the Accept header. */
export function wantsCsv(request: Request, format: "json" | "csv" | undefined): boolean {
  if (format !== undefined) return format === "csv";
  return (request.headers.get("Accept") ?? "").split(",").some((type) => type.split(";")[0]!.trim() === "text/csv");
}

/**
 * One line. A text that a spreadsheet would run as a formula gets an apostrophe in front: texts
 * come from the logs of machines that we do not control.
 */
export function csvLine(cells: readonly Cell[]): string {
  const written = cells.map((cell) => {
    if (cell === null) return "";
    if (typeof cell === "number") return String(cell);
    const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  });
  return `${written.join(",")}\r\n`;
}

/**
 * A CSV response that is made while it is read, so that only one page is in memory. `pages` gives
 * the rows page by page. An error breaks the connection off: a client must not take a table that
 * was cut short for a whole one.
 */
export function csvResponse(name: string, head: readonly string[], pages: AsyncIterator<readonly Cell[][]>): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(csvLine(head))),
    pull: async (controller) => {
      const page = await pages.next();
      if (page.done) controller.close();
      else controller.enqueue(encoder.encode(page.value.map(csvLine).join("")));
    },
  });
  return new Response(body, {
    headers: {
      "Content-Type": "text/csv; charset=utf-8",
      "Content-Disposition": `attachment; filename="${name}.csv"`,
    },
  });
}
