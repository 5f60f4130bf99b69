/** Before each file of tests: properties start where `seed.ts` says. */
import fc from "fast-check";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    seed: number;
    /** When `npm run fuzz` runs its one test, and not all tests run. */
    fuzz?: { requests: number; seed: number };
  }
}

fc.configureGlobal({ seed: inject("seed") });
