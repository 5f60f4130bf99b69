import { defineConfig } from "vitest/config";
import { reporters } from "./test/support/reporters.ts";

/** Real runtimes that are killed, a network that fails: runs overlap, because most of a run is waiting. */
export default defineConfig({
  test: {
    ...reporters("chaos"),
    name: "chaos",
    include: ["test/chaos/**/*.test.ts"],
    maxConcurrency: 4,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    teardownTimeout: 30_000,
  },
});
