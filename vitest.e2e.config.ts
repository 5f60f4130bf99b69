import { defineConfig } from "vitest/config";
import { reporters } from "./test/support/reporters.ts";

/** Real managers, agents, renderers: one file after the other, because they share the machine's cores. */
export default defineConfig({
  test: {
    ...reporters("e2e"),
    name: "e2e",
    include: ["test/e2e/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
