/** The table of `docs/platform.md`: which journeys are made on which platform, and what is known. */
import { JOURNEYS, type JourneyName } from "./journeys/index.ts";
import { KNOWN, knownOf } from "./known.ts";
import { ROWS, type PlatformRow } from "./rows.ts";

/** The file below `docs/`, and the name of its block. */
export const TABLE_FILE = "platform.md";
export const TABLE_NAME = "platform-table";

const NAMES = Object.keys(JOURNEYS) as JourneyName[];

function cell(row: PlatformRow, journey: JourneyName): string {
  if (![...row.often, ...row.seldom].includes(journey)) return "";
  const known = knownOf(row.name, journey);
  const outcome = known ? `fails (${KNOWN.indexOf(known) + 1})` : "passes";
  return row.often.includes(journey) ? `**${outcome}**` : outcome;
}

/** The table, and a list of what fails. It says what the tests assert. */
export function platformTable(): string[] {
  return [
    `| platform | what it does | ${NAMES.join(" | ")} |`,
    `|---|---|${NAMES.map(() => "---").join("|")}|`,
    ...ROWS.map((row) => `| ${row.name} | ${row.what} | ${NAMES.map((name) => cell(row, name)).join(" | ")} |`),
    "",
    ...(KNOWN.length > 0 ? ["What fails, and why:", "", ...KNOWN.map(({ why }, i) => `${i + 1}. ${why}.`)] : []),
  ];
}
