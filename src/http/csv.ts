/** Tables as CSV (RFC 4180), for spreadsheets. Pure but for the stream. */

type Cell = string | number | null;

/** Whether the caller wants CSV: by `?format=csv`, or by its Accept header where the address does not say. */
export function wantsCsv(request: Request, format: "json" | "csv" | undefined): boolean {
  if (format !== undefined) return format === "csv";
  return (request.headers.get("Accept") ?? "").split(",").some((type) => type.split(";")[0]!.trim() === "text/csv");
}

/** One line. A text that a spreadsheet would take for a formula gets an apostrophe in front: texts come from machines' logs. */
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
 * A CSV answer that is made as it is read: nothing is held but one page. `pages` gives the rows page by page; an error breaks the
 * connection off, so that a table cut short is never taken for a whole one.
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
