/**
 * P10: every text, list and record by which something from outside is read has a bound. The schemas
 * are found, not listed: those of the declared routes, of the task types, and all that the protocol
 * folder exports but for those that only describe answers.
 */
import { readdirSync } from "node:fs";
import { z } from "zod";
import { expect, it } from "vitest";
import { loadRoutes } from "../../scripts/api-table.ts";
import { partsOf, walk, whyUnbounded } from "../../test/support/schema-walk.ts";
import { presetFields } from "../compilers/blender-settings.ts";
import { COMPILERS } from "../compilers/index.ts";
import { manifestSchema } from "../cli/backup-folder.ts";
import { backupAssetSchema, backupRowSchema, historyRowSchema, packedDaySchema } from "./backup.ts";
import { pushSchema } from "./worker.ts";
import { isDeeper } from "./bounded.ts";

/** Schemas by which nothing is read, with the reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  webhookBodySchema: "the manager makes the body of a delivery, and reads none",
};

/** Parts of answers by which more is read than answers: sockets, and files of a backup. */
const ALSO_READ: Readonly<Record<string, z.ZodType>> = {
  backupRowSchema,
  backupAssetSchema,
  historyRowSchema,
  packedDaySchema,
  pushSchema,
  manifestSchema,
};

type Root = readonly [name: string, schema: z.core.$ZodType];

/** All schemas inside of those of the answers, and they themselves. */
async function answerSchemas(): Promise<Set<z.core.$ZodType>> {
  const answers = new Set<z.core.$ZodType>();
  for (const { answers: declared } of await loadRoutes())
    for (const answer of Object.values(declared))
      if ("schema" in answer && answer.schema) walk(answer.schema, "", answers);
  return answers;
}

/** What requests are read by. */
async function requestSchemas(): Promise<Root[]> {
  return (await loadRoutes()).flatMap(({ method, path, query, body }): Root[] => [
    ...(query ? [[`${method} ${path}, query`, query] as const] : []),
    ...(body ? [[`${method} ${path}`, body] as const] : []),
  ]);
}

/** What the protocol folder exports, without what only answers and the manager's messages are made of. */
async function protocolSchemas(answers: ReadonlySet<z.core.$ZodType>): Promise<Root[]> {
  const folder = new URL("./", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
  const modules = await Promise.all(
    files.map(async (file) => Object.entries((await import(new URL(file, folder).href)) as Record<string, unknown>)),
  );
  return modules
    .flat()
    .flatMap(([name, value]): Root[] => (value instanceof z.ZodType && !answers.has(value) ? [[name, value]] : []));
}

async function unbounded(): Promise<string[]> {
  const answers = await answerSchemas();
  const roots: Root[] = [
    ...(await requestSchemas()),
    ...(await protocolSchemas(answers)),
    ...COMPILERS.map(({ type, settings }) => [`settings of ${type}`, settings] as const),
    ["render preset", z.strictObject(presetFields)],
    ...Object.entries(ALSO_READ),
  ];
  expect(roots.length).toBeGreaterThan(60);
  return roots
    .filter(([name]) => EXCEPTIONS[name] === undefined)
    .flatMap(([name, root]) =>
      walk(root, name).flatMap(({ path, schema }) => {
        const why = whyUnbounded(schema);
        return why === undefined ? [] : [`${path}: ${why}`];
      }),
    );
}

it("P10: every text, list and record of every schema that is read from outside has a bound", async () => {
  expect(await unbounded()).toEqual([]);
});

it("the walk finds what has no bound, wherever it is", () => {
  const found = (schema: z.ZodType): string[] =>
    walk(schema, "x").flatMap(({ path, schema: part }) => (whyUnbounded(part) === undefined ? [] : [path]));
  expect(found(z.object({ a: z.array(z.union([z.string().max(2), z.object({ b: z.string() })])).max(3) }))).toEqual([
    "x.a[].b",
  ]);
  expect(found(z.record(z.string().regex(/^[a-z]{1,5}$/), z.int()).default({}))).toEqual(["x"]);
  expect(found(z.string().regex(/^a+$/).optional())).toEqual(["x"]);
  expect(found(z.string().transform(Number).pipe(z.number()))).toEqual(["x"]);
  expect(found(z.preprocess((value) => value, z.array(z.int())))).toEqual(["x"]);
  expect(found(z.tuple([z.uuid(), z.enum(["a"]), z.string().max(9)]))).toEqual([]);
  expect(partsOf(z.string())).toEqual([]);
});

it("the depth of a value is measured down to the limit only", () => {
  let deep: unknown = 0;
  for (let level = 0; level < 100_000; level++) deep = { level: [deep] };
  expect(isDeeper(deep, 64)).toBe(true);
  expect(isDeeper([[1], { a: 2 }], 2)).toBe(false);
  expect(isDeeper([[1], { a: 2 }], 1)).toBe(true);
});
