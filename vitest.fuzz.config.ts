import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { reporters } from "./test/support/reporters.ts";

/** `npm run fuzz`: the one test of `test/workerd/api-fuzz.test.ts`, with as many requests as `test/support/fuzz.ts` was told. */
export default defineConfig({
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
    ...reporters("fuzz"),
    name: "fuzz",
    include: ["test/workerd/api-fuzz.test.ts"],
    setupFiles: ["./test/workerd/setup.ts"],
    provide: {
      fuzz: { requests: Number(process.env["FUZZ_REQUESTS"] ?? 1_500), seed: Number(process.env["FUZZ_SEED"] ?? 2015) },
    },
  },
});
