import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { reporters } from "./test/support/reporters.ts";
import { SEED } from "./test/support/seed.ts";

/** Only a bound: hooks start processes, and the machine may have other things to do. */
const hookTimeout = 60_000;

/**
 * `unit`: pure rules, in Node. `model`: the lease protocol, explored to its end in threads. `workerd`: the objects and the
 * Worker, inside the runtime; an isolate of its own for each file takes about two seconds to start, so files there are few and
 * large.
 */
export default defineConfig({
  test: {
    ...reporters("core"),
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts"],
          setupFiles: ["./test/support/seeded.ts"],
          provide: { seed: SEED },
          testTimeout: 20_000,
          hookTimeout,
        },
      },
      { test: { name: "model", include: ["test/model/**/*.test.ts"], hookTimeout } },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                TABLAO_ADMIN_TOKEN: "test-admin-token-0123456789abcdef",
                TEST_MIGRATIONS: await readD1Migrations("./schema"),
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/workerd/**/*.test.ts"],
          setupFiles: ["./test/support/seeded.ts", "./test/workerd/setup.ts"],
          provide: { seed: SEED },
          testTimeout: 20_000,
          hookTimeout,
        },
      },
    ],
  },
});
