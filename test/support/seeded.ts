/** Runs before each test file: property tests start from the seed of `seed.ts`. */
import fc from "fast-check";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    seed: number;
    /** Set by `npm run fuzz`, which runs one test with these numbers. */
    fuzz?: { requests: number; seed: number };
  }
}

fc.configureGlobal({ seed: inject("seed") });
