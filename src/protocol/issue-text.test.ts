import { expect, test } from "vitest";
import { z } from "zod";
import { fieldErrors } from "./field-errors.ts";
import { taskPatchSchema, taskSubmitSchema } from "./task.ts";

const textOf = (schema: z.ZodType, value: unknown): string | undefined => {
  const parsed = schema.safeParse(value);
  return parsed.success
    ? undefined
    : fieldErrors(parsed.error.issues)
        .map(({ message }) => message)
        .join();
};

test("P10: a refusal names the rule in words that people know, not in those of the schema", () => {
  const cases: [z.ZodType, unknown, string][] = [
    [z.int(), "x", "must be a number"],
    [z.int(), 1.5, "must be a whole number"],
    [z.int().min(1).max(5), 9, "must be at most 5"],
    [z.int().min(1).max(5), 0, "must be at least 1"],
    [z.number().gt(3), 3, "must be more than 3"],
    [z.number().lt(3), 3, "must be less than 3"],
    [z.int().multipleOf(2), 3, "must be a multiple of 2"],
    [z.string(), 1, "must be text"],
    [z.string(), undefined, "is required"],
    [z.string().max(3), "abcd", "must have at most 3 characters"],
    [z.string().min(1), "", "must have at least 1 character"],
    [z.array(z.int()).max(1), [1, 2], "must have at most 1 entry"],
    [z.array(z.int()), {}, "must be a list"],
    [z.strictObject({}), [], "must be an object"],
    [z.boolean(), 1, "must be true or false"],
    [z.enum(["a", "b", "c"]), "d", 'must be "a", "b" or "c"'],
    [z.union([z.int(), z.literal("auto")]), null, 'must be a number or "auto"'],
    [z.union([z.int(), z.null(), z.literal("auto")]), "x", 'must be a number, null or "auto"'],
    [z.string().regex(/^a$/), "b", "is not in the right form"],
    [z.string().regex(/^a$/, "must be an a"), "b", "must be an a"],
    [z.url(), "x", "must be an address such as https://example.org/"],
  ];
  for (const [schema, value, text] of cases) expect(textOf(schema, value)).toBe(text);
});

test("P10: no word of the schema's library is in what a task is refused with", () => {
  const values = [null, 1.5, -1, "x".repeat(5_000), "", [], {}, [null], true, Number.MAX_VALUE];
  for (const schema of [taskSubmitSchema, taskPatchSchema] as z.ZodObject[])
    for (const field of Object.keys(schema.shape))
      for (const value of values) {
        const text = textOf(schema, { type: "demo_render", settings: {}, [field]: value }) ?? "";
        expect(text, `${field} ${JSON.stringify(value).slice(0, 20)}`).not.toMatch(
          /expected (a?n? ?)?(number|string|one of|array|object|int|null|")|received|Invalid|Too (big|small)|pattern/,
        );
      }
});
