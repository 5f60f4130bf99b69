/**
 * An agent of one version and a manager of the next: answers may have new fields and reasons, and
 * an agent uses those it knows.
 */
import { describe, expect, it } from "vitest";
import { lease as scripted } from "../../test/support/scripted-lease.ts";
import { receiptSchema } from "../protocol/file.ts";
import { renewedSchema } from "../protocol/lease.ts";
import { accessSchema } from "../protocol/token.ts";
import { PROBLEM_MEDIA_TYPE } from "../protocol/problem.ts";
import { problemSchema } from "../protocol/problem-schema.ts";
import { pushSchema, workerPatchedSchema } from "../protocol/worker.ts";
import { looseClaimedSchema, looseSettledSchema } from "./lease-calls.ts";
import { refusalOf } from "../client/manager-answer.ts";

/** The value, with an unknown field in every object. */
function fromTheFuture(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromTheFuture);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).map(([name, inner]) => [name, fromTheFuture(inner)]);
  return { ...Object.fromEntries(fields), of_the_next_version: { since: 2 } };
}

const lease = scripted("");
const claimed = { lease, reason: null, retry_after_ms: null };

const ANSWERS = {
  "POST /auth/access": [accessSchema, { access_token: "a.b", expires_ms: 1, expires_in_ms: 60_000 }],
  "PATCH /workers/{id}": [workerPatchedSchema, { task_id: 7, epoch: 3, status: "enabled" }],
  "a claim": [looseClaimedSchema, claimed],
  "a claim that gets nothing": [looseClaimedSchema, { lease: null, reason: "waiting", retry_after_ms: 5_000 }],
  "a settlement": [looseSettledSchema, { committed: 1, next: claimed }],
  "a renewal": [renewedSchema, { lease_ms: 60_000, until_ms: 1, grant: "g" }],
  "a receipt": [receiptSchema, { receipt: "r", name: "f_1", size: 1, sha256: "ab".repeat(32) }],
  "a push": [pushSchema, { type: "cancel", task_id: 7, lease_ids: ["L"] }],
  "a problem": [problemSchema, { type: "/problems/conflict", title: "t", status: 409, code: "conflict", detail: "d" }],
} as const;

describe("an agent against a manager of the next version", () => {
  it.each(Object.keys(ANSWERS) as (keyof typeof ANSWERS)[])("reads %s with fields that it does not know", (name) => {
    const [schema, answer] = ANSWERS[name];
    const parsed = schema.safeParse(fromTheFuture(answer));
    expect(parsed.error).toBeUndefined();
    expect(parsed.data).toMatchObject(name === "a claim" || name === "a settlement" ? {} : answer);
  });

  it("keeps what it needs of a lease: the plan is checked separately, so that a lease with an unknown plan can be released", () => {
    const parsed = looseClaimedSchema.parse(fromTheFuture(claimed));
    expect(parsed.lease).toMatchObject({ task_id: 7, lease_id: "L", attempt: 3, frames: "1-2", lease_ms: 60_000 });
    expect(parsed.lease?.plan).toMatchObject({ of_the_next_version: { since: 2 } });
  });

  it("takes the header for a grant from the answer, if it is one of ours; a manager up to 0.1 names none", () => {
    const { grant_header: _, ...old } = lease;
    const headerOf = (answer: object): unknown =>
      looseClaimedSchema.safeParse({ ...claimed, lease: answer }).data?.lease?.grant_header;
    expect(headerOf(old)).toBe("Tablao-Grant");
    expect(headerOf({ ...old, grant_header: "Tablao-Grant-Token" })).toBe("Tablao-Grant-Token");
    for (const name of ["Authorization", "Host", "Tablao-Grant\r\nHost", ""])
      expect(headerOf({ ...old, grant_header: name }), name).toBeUndefined();
    expect(renewedSchema.parse(ANSWERS["a renewal"][1]).grant_header).toBe("Tablao-Grant");
  });

  it("treats an unknown reason as: there is nothing for it now", () => {
    const parsed = looseClaimedSchema.parse({ lease: null, reason: "the_moon_is_full", retry_after_ms: 9_000 });
    expect(parsed).toEqual({ lease: null, reason: "nothing_pending", retry_after_ms: 9_000 });
  });

  it("treats a refusal with an unknown code and status as final, and as busy only what says so", async () => {
    const refusal = async (status: number, code: string): Promise<unknown> => {
      const problem = { type: `/problems/${code}`, title: "t", status, code, detail: "why", since: 2 };
      const headers = { "content-type": PROBLEM_MEDIA_TYPE };
      const error = await refusalOf(Response.json(problem, { status, headers }), "https://farm.example.com");
      return { code: error.code, message: error.message, transient: error.transient };
    };
    expect(await refusal(410, "task_archived")).toEqual({ code: "task_archived", message: "why", transient: false });
    expect(await refusal(409, "fenced_off")).toEqual({ code: "fenced_off", message: "why", transient: false });
    expect(await refusal(503, "moving_house")).toEqual({ code: "moving_house", message: "why", transient: true });
  });

  it("accepts an answer without optional parts: a problem without `errors`", () => {
    expect(problemSchema.parse(ANSWERS["a problem"][1]).errors).toBeUndefined();
  });
});
