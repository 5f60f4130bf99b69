/**
 * P10 with random input: whatever a body or a query holds, the answer is never a 5xx, and a refusal
 * is a problem document.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { z } from "zod";
import type { Route } from "../../src/http/server/route.ts";
import { ROUTES } from "../../src/http/routes/index.ts";
import { problemSchema } from "../../src/protocol/problem-schema.ts";
import { newTask, newToken, newWorker, send } from "./http-client.ts";

/**
 * Fixed, so that a failed run can be repeated; raise RUNS and change the seed to search for more.
 */
const SEED = 2015;
const RUNS = 60;

const values: Record<string, string> = {
  frame: "1",
  n: "1",
  sha256: "0".repeat(64),
  lease_id: "none",
  name: "x.png",
  code: "invalid",
};
let worker: string;

beforeAll(async () => {
  const machine = await newWorker("fuzz");
  worker = machine.secret;
  const task = await newTask();
  // The same number names a task, a worker and a token, so that requests get past "not found".
  values["id"] = String(task);
  for (let id = 0; id < task; id++) await newToken("viewer", `fuzz ${id}`);
});

/** Text that is likely to cause an error somewhere. */
const nasty = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom(
    "",
    "__proto__",
    "constructor",
    "1e999",
    "-0",
    "null",
    "NaN",
    "[]",
    "{}",
    "../../etc",
    "1-10:0",
    "9".repeat(40),
    "\u0000",
    "\ud800",
    "💃",
  ),
);
const leaf = fc.oneof(
  nasty,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(2 ** 53, -1, 1e308),
);
const anything = fc.oneof(
  leaf,
  fc.array(leaf, { maxLength: 4 }),
  fc.dictionary(nasty, fc.oneof(leaf, fc.array(leaf, { maxLength: 3 })), { maxKeys: 4 }),
);

/** Objects with the schema's fields, each with a value that may be of any kind. */
function near(schema: z.ZodType | undefined): fc.Arbitrary<Record<string, unknown>> {
  const known = schema && "shape" in schema ? Object.keys(schema.shape as object) : ["lease_s", "render.final"];
  return fc.dictionary(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: nasty }),
    anything,
    { maxKeys: 5 },
  );
}

/** A value as a form or a query carries it. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value.toWellFormed() : (JSON.stringify(value) ?? "");
}

/** The documented example, with one error. */
function almost(route: Route): fc.Arbitrary<unknown> {
  return fc
    .dictionary(fc.constantFrom(...Object.keys(route.example ?? { value: 1 })), anything, { maxKeys: 1 })
    .map((wrong) => ({ ...(route.example as object), ...wrong }));
}

async function check(response: Response): Promise<void> {
  const text = await response.text();
  expect(response.status, text).toBeLessThan(500);
  if (response.status >= 400) problemSchema.parse(JSON.parse(text));
}

// Tokens are left out, because the fuzzer would fill the farm with them, and removals, because they
// would end the test.
const bodies = ROUTES.filter((route) => route.body && route.path !== "/tokens");
const queries = ROUTES.filter((route) => route.query);

describe("P10: never a 5xx", () => {
  it.each(bodies.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "%s, with any body",
    async (_key, route) => {
      const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name]!);
      const token = route.who !== "anyone" && route.who.includes("admin") ? undefined : worker;
      await fc.assert(
        fc.asyncProperty(fc.oneof(almost(route), near(route.body), anything), fc.boolean(), async (body, asForm) => {
          const fields = typeof body === "object" && body !== null ? Object.entries(body) : [];
          const form = Object.fromEntries(fields.map(([key, value]) => [key, textOf(value)]));
          await check(await send(route.method, path, asForm ? { token, form } : { token, json: body ?? null }));
        }),
        { seed: SEED, numRuns: RUNS },
      );
    },
  );

  it.each(queries.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "%s, with any query",
    async (_key, route) => {
      const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name]!);
      await fc.assert(
        fc.asyncProperty(near(route.query), async (query) => {
          const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, textOf(value)]));
          await check(await send("GET", `${path}?${search}`));
        }),
        { seed: SEED, numRuns: RUNS },
      );
    },
  );
});
