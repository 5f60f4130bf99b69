/** The model check's larger worlds, and all of its mutations: minutes, so they are part of `npm run test:all` only. */
import { expect, test } from "vitest";
import { tableIn } from "../support/doc-block.ts";
import { LARGE } from "./configurations.ts";
import * as inputs from "./inputs/configurations.ts";
import { MUTATIONS as INPUT_MUTATIONS } from "./inputs/mutations.ts";
import { MUTATIONS } from "./mutations.ts";
import { exploreAll, hunt } from "./pool.ts";
import { DOC, mutationRows, mutationTable, reportTable, worldRows } from "./tables.ts";

/** Only ends a hang: a machine that does nothing else needs three minutes. */
const LIMIT_MS = 3_600_000;

test(
  "P1–P6, P8: in every reachable world of the larger ones the promises hold and the task can still finish",
  async () => {
    const answers = await exploreAll(LARGE);
    const { text, broken } = reportTable(answers);
    console.log(text);
    expect(broken, text).toBe(false);
    expect(tableIn(DOC, "model-large"), "npm run model -- --write-docs").toEqual(worldRows(answers));
  },
  LIMIT_MS,
);

test(
  "each deliberate fault in a guard is found",
  async () => {
    const answers = await hunt(MUTATIONS);
    const { text, survivors, errors } = mutationTable(MUTATIONS, answers);
    console.log(text);
    expect(errors).toEqual([]);
    expect(survivors).toEqual([]);
    expect(tableIn(DOC, "model-mutations"), "npm run model -- --write-docs").toEqual(mutationRows(MUTATIONS, answers));
  },
  LIMIT_MS,
);

test(
  "P14: in the larger worlds of the sweep, what is used or called stored is there, and what nothing uses can go",
  async () => {
    const answers = await exploreAll(inputs.LARGE, "inputs/explore.ts");
    const { text, broken } = reportTable(answers);
    console.log(text);
    expect(broken, text).toBe(false);
    expect(tableIn(DOC, "model-inputs-large"), "npm run model -- --write-docs").toEqual(worldRows(answers));
  },
  LIMIT_MS,
);

test(
  "each deliberate fault of the sweep is found",
  async () => {
    const answers = await hunt(INPUT_MUTATIONS, inputs.HUNT, "inputs/explore.ts");
    const { text, survivors, errors } = mutationTable(INPUT_MUTATIONS, answers);
    console.log(text);
    expect(errors).toEqual([]);
    expect(survivors).toEqual([]);
    expect(tableIn(DOC, "model-inputs-mutations"), "npm run model -- --write-docs").toEqual(
      mutationRows(INPUT_MUTATIONS, answers),
    );
  },
  LIMIT_MS,
);
