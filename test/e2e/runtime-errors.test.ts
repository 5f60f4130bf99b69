/**
 * The texts and paths of the runtime's own errors, by which the manager tells what may pass from
 * what is a bug. The test plugin has wrappers of its own around objects, so this runs without it.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { isMissingMethod } from "../../src/lib/retry.ts";
import { usedUpQuota } from "../../src/platform/quota.ts";
import { temporaryFolder } from "../support/folders.ts";
import { COMPATIBILITY_DATE, startMiniflare, type Miniflare } from "../support/runtime.ts";

const QUOTA = "Exceeded allowed rows read in Durable Objects free tier.";
const SCRIPT = `
  import { DurableObject } from "cloudflare:workers";
  export class Old extends DurableObject {
    async refused() { throw new Error(${JSON.stringify(QUOTA)}); }
  }
  export class Unbuilt extends DurableObject {
    constructor(ctx, env) { super(ctx, env); throw new Error(${JSON.stringify(QUOTA)}); }
    async refused() {}
  }
  export default {
    async fetch(request, env) {
      const [, namespace, method] = new URL(request.url).pathname.split("/");
      try {
        await env[namespace].getByName("one")[method]();
        return Response.json(null);
      } catch (error) {
        return Response.json(error.message);
      }
    },
  };`;

let runtime: Miniflare;
const state = temporaryFolder("errors");

beforeAll(async () => {
  runtime = startMiniflare({
    port: 0,
    modules: true,
    script: SCRIPT,
    compatibilityDate: COMPATIBILITY_DATE,
    resourcePersistencePath: state.path,
    durableObjects: {
      OLD: { className: "Old", useSQLite: true },
      UNBUILT: { className: "Unbuilt", useSQLite: true },
    },
  });
  await runtime.ready;
});
afterAll(async () => {
  await runtime?.dispose();
  state.remove();
});

/** The message of the error that a call of an object ends with. */
async function messageOf(object: "OLD" | "UNBUILT", method: string): Promise<string | null> {
  const address = await runtime.ready;
  return (await (await fetch(new URL(`/${object}/${method}`, address))).json()) as string | null;
}

test("a method that the object does not have is known by the runtime's words", async () => {
  const message = await messageOf("OLD", "nextVersion");
  expect(message).not.toBeNull();
  expect(isMissingMethod(new TypeError(message!)), message!).toBe(true);
});

test("the text of an error in an object, or in its constructor, reaches the caller", async () => {
  for (const object of ["OLD", "UNBUILT"] as const)
    expect(usedUpQuota(new Error((await messageOf(object, "refused"))!))).toEqual({
      name: "Durable Objects: rows read",
      until: "midnight",
    });
});
