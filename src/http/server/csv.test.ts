import { describe, expect, it } from "vitest";
import { csvLine, csvResponse, wantsCsv } from "./csv.ts";

describe("CSV", () => {
  it("quotes where necessary, and lets no text become a formula", () => {
    expect(csvLine(["a", 1.5, null, 'say "hi"', "two\nlines", "x,y"])).toBe(
      'a,1.5,,"say ""hi""","two\nlines","x,y"\r\n',
    );
    for (const text of ["=1+1", "+1", "-1", "@x"]) expect(csvLine([text])).toBe(`'${text}\r\n`);
    expect(csvLine(['=HYPERLINK("x","y")'])).toBe('"\'=HYPERLINK(""x"",""y"")"\r\n');
    expect(csvLine([-1])).toBe("-1\r\n");
  });

  it("is requested by the address, or else by the Accept header", () => {
    const accept = (text: string) => new Request("http://x", { headers: { Accept: text } });
    expect(wantsCsv(accept("*/*"), "csv")).toBe(true);
    expect(wantsCsv(accept("text/csv"), "json")).toBe(false);
    expect(wantsCsv(accept("application/json, text/csv;q=0.9"), undefined)).toBe(true);
    expect(wantsCsv(accept("text/*"), undefined)).toBe(false);
    expect(wantsCsv(new Request("http://x"), undefined)).toBe(false);
  });

  it("streams page by page, and breaks off when reading rows fails", async () => {
    async function* rows(fail: boolean): AsyncGenerator<[number][]> {
      yield [[1], [2]];
      if (fail) throw new Error("gone");
      yield [[3]];
    }
    expect(await csvResponse("t", ["n"], rows(false)).text()).toBe("n\r\n1\r\n2\r\n3\r\n");
    await expect(csvResponse("t", ["n"], rows(true)).text()).rejects.toThrow();
  });
});
