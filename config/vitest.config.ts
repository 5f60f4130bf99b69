import { availableParallelism } from "node:os";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { reporters } from "../test/support/reporters.ts";
import { SEED } from "../test/support/seed.ts";

/**
 * The projects of the test runner. `package.json` and CONTRIBUTING.md say which command runs which
 * projects.
 *
 * - `unit`: pure rules and the parts of the agent, in Node.
 * - `unit-measured`: those that compare times, one after the other.
 * - `model`, `model-large`: all states of the lease protocol, explored in threads.
 * - `workerd`, `workerd-large`: the Durable Objects and the Worker, inside the runtime.
 * - `demo`: a manager and an agent as a new user starts them, with the built-in renderer.
 * - `e2e`: managers, agents, renderers and browsers as processes.
 * - `chaos`: runtimes that are killed, networks that fail.
 * - `platform`: the main journeys in a runtime that has Cloudflare's limits.
 * - `fuzz`: the one test that `npm run fuzz` runs with more requests than `workerd` has.
 */

/**
 * These bounds only end a test that hangs. A passing test takes a small part of them. A lower bound
 * would make the result depend on what else the machine does.
 */
const BOUNDS = { testTimeout: 300_000, hookTimeout: 300_000 };

/**
 * Tests with processes and renderers have shorter bounds of their own, which name what did not
 * happen. These bounds are longer; with a lower one, the runner would end the test first, without
 * that name.
 */
const PROCESS_BOUNDS = { testTimeout: 600_000, hookTimeout: 300_000 };

/** Files of `workerd` that take longer than the rest together. They run in `test:all`. */
const LARGE_WORKERD = [
  "authz-matrix",
  "costs",
  "d1-queries",
  "files-parts",
  "input-sweep",
  "many-inputs",
  "sweep-costs",
].map((name) => `test/workerd/${name}.test.ts`);

/**
 * Unit tests that measure how often something takes the time of something else: they take long, and are
 * best measured with nothing else running. They run in `test:all`, after all others.
 */
const MEASURED_UNIT = ["src/http/server/hostile-bodies.test.ts"];

/**
 * An end-to-end test that needs no program but Node; `npm test` runs it. The few others that need
 * none run with `e2e`.
 */
const DEMO = "test/e2e/demo.test.ts";

/** The tests of `test/platform` that start runtimes. The others are unit tests of the limits. */
const PLATFORM = ["platform", "cpu"].map((name) => `test/platform/${name}.test.ts`);

/** Starts managers. The other tests of its folder are unit tests of the disk that it makes. */
const POWER_CUT = "test/power-cut/power-cut.test.ts";

const migrations = await readD1Migrations("./schema");

/**
 * The manager's Worker and objects in workerd, with the bindings of the tests. Each project needs a
 * plugin of its own.
 */
const manager = (): ReturnType<typeof cloudflareTest> =>
  cloudflareTest({
    wrangler: { configPath: "./wrangler.toml" },
    miniflare: {
      bindings: { TABLAO_ADMIN_TOKEN: "test-admin-token-7fQx2LmV9cTzRk4wNbHs", TEST_MIGRATIONS: migrations },
    },
  });

const inWorkerd = {
  setupFiles: ["./test/support/seeded.ts", "./test/workerd/setup.ts"],
  ...BOUNDS,
};

const { FUZZ_REQUESTS, FUZZ_SEED } = process.env;

export default defineConfig({
  test: {
    ...reporters(),
    teardownTimeout: 30_000,
    // The runner's default leaves one core unused, which is half of a machine with two.
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "test/{docs,examples,platform,power-cut,scenes}/**/*.test.ts"],
          exclude: [...PLATFORM, POWER_CUT, ...MEASURED_UNIT],
          setupFiles: ["./test/support/seeded.ts"],
          provide: { seed: SEED },
          ...BOUNDS,
        },
      },
      {
        test: {
          name: "unit-measured",
          include: MEASURED_UNIT,
          provide: { seed: SEED },
          sequence: { groupOrder: 4 },
          ...BOUNDS,
        },
      },
      { test: { name: "model", include: ["test/model/model.test.ts"], ...BOUNDS } },
      { test: { name: "model-large", include: ["test/model/large.test.ts"], ...BOUNDS } },
      {
        plugins: [manager()],
        test: {
          name: "workerd",
          include: ["test/workerd/**/*.test.ts"],
          exclude: LARGE_WORKERD,
          provide: { seed: SEED },
          ...inWorkerd,
        },
      },
      {
        plugins: [manager()],
        test: { name: "workerd-large", include: LARGE_WORKERD, provide: { seed: SEED }, ...inWorkerd },
      },
      { test: { name: "demo", include: [DEMO], ...PROCESS_BOUNDS } },
      {
        // One file after the other, because they share the machine's cores. They run after all other
        // projects but `chaos`.
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", POWER_CUT],
          exclude: [DEMO],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          ...PROCESS_BOUNDS,
        },
      },
      {
        // Runs overlap, because most of a run is waiting.
        test: {
          name: "chaos",
          include: ["test/chaos/**/*.test.ts"],
          maxConcurrency: 4,
          sequence: { groupOrder: 2 },
          ...PROCESS_BOUNDS,
        },
      },
      {
        // One file after the other, so that CPU time is measured alone. Journeys overlap, because most
        // of a journey is waiting.
        test: {
          name: "platform",
          include: PLATFORM,
          fileParallelism: false,
          maxConcurrency: 3,
          sequence: { groupOrder: 3 },
          ...PROCESS_BOUNDS,
        },
      },
      ...(FUZZ_REQUESTS && FUZZ_SEED
        ? [
            {
              plugins: [manager()],
              test: {
                name: "fuzz",
                include: ["test/workerd/api-fuzz.test.ts"],
                provide: { seed: SEED, fuzz: { requests: Number(FUZZ_REQUESTS), seed: Number(FUZZ_SEED) } },
                ...inWorkerd,
              },
            },
          ]
        : []),
    ],
  },
});
