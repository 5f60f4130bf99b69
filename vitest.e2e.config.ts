import { defineConfig } from "vitest/config";

/** Real managers, agents, renderers: one file after the other, because they share the machine's cores. */
export default defineConfig({
  test: {
    name: "e2e",
    include: ["test/e2e/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
