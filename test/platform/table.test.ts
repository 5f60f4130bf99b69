/** The table of the documentation, and the lists that it is made from. */
import { expect, test } from "vitest";
import { tableIn } from "../support/doc-block.ts";
import { KNOWN, knownOf } from "./known.ts";
import { ROWS } from "./rows.ts";
import { platformTable, TABLE_FILE, TABLE_NAME } from "./table.ts";

test("docs/platform.md has the platforms and journeys of the tests; else: npm run platform -- --table", () => {
  expect(tableIn(TABLE_FILE, TABLE_NAME)).toEqual(platformTable().filter((line) => line.startsWith("|")));
});

test("no journey is made twice on a platform", () => {
  for (const { name, often, seldom } of ROWS)
    expect([name, new Set([...often, ...seldom]).size]).toEqual([name, often.length + seldom.length]);
});

test("what is known to fail is of a journey that is made, and is known once", () => {
  for (const known of KNOWN)
    for (const name of known.rows)
      for (const journey of known.journeys) {
        const row = ROWS.find((row) => row.name === name)!;
        expect([name, journey, [...row.often, ...row.seldom].includes(journey)]).toEqual([name, journey, true]);
        expect(knownOf(name, journey)).toBe(known);
      }
});
