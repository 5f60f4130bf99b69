import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FOREIGN_ANSWERS, FOREIGN_NAMES } from "../../../test/support/foreign-answers.ts";
import { PROBLEM_MEDIA_TYPE, problemType } from "../../protocol/problem.ts";
import type { Session } from "../../protocol/session.ts";
import { call, get } from "./api.ts";
import { ApiError } from "./problem.ts";
import { loadSession, session } from "./session.ts";

const ADMIN: Session = { role: "admin", name: "admin", owner: "admin", task_id: null, expires_ms: null };

let answer: () => Response | Promise<Response>;

beforeEach(() => {
  session.value = ADMIN;
  vi.stubGlobal("fetch", async () => await answer());
});
afterEach(() => {
  vi.unstubAllGlobals();
});

function problem(status: number, code: string): Response {
  const document = { type: problemType(code), title: code, status, code, detail: `because ${code}` };
  return new Response(JSON.stringify(document), { status, headers: { "content-type": PROBLEM_MEDIA_TYPE } });
}

async function errorOf(asked: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await asked.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe.each(FOREIGN_NAMES)("%s", (name) => {
  beforeEach(() => {
    const { status, headers, body } = FOREIGN_ANSWERS[name];
    answer = () => new Response(body, { status, headers });
  });

  test("is no refusal of the manager: nobody is signed out, nothing is gone", async () => {
    const error = await errorOf(get("/tasks/1"));
    expect(error).toMatchObject({ status: 0, code: "foreign" });
    expect(error.message).toMatch(
      new RegExp(`^Something between this page and the manager answered ${FOREIGN_ANSWERS[name].status} with .*\\.$`),
    );
    expect(session.value).toEqual(ADMIN);
  });

  test("does not say who is signed in", async () => {
    expect(await errorOf(loadSession())).toMatchObject({ code: "foreign" });
    expect(session.value).toEqual(ADMIN);
  });
});

test("a 401 of the manager ends the session", async () => {
  answer = () => problem(401, "unauthorized");
  expect(await errorOf(get("/tasks"))).toMatchObject({ status: 401, message: "because unauthorized" });
  expect(session.value).toBeNull();
});

test.each([401, 403])("a %i of the manager to the question who is signed in: nobody", async (status) => {
  answer = () => problem(status, status === 401 ? "unauthorized" : "forbidden");
  await loadSession();
  expect(session.value).toBeNull();
});

test("a manager that is busy has not said that nobody is signed in", async () => {
  answer = () => problem(429, "rate_limited");
  expect(await errorOf(loadSession())).toMatchObject({ status: 429 });
  expect(session.value).toEqual(ADMIN);
});

test("JSON is answered; 204 is nothing; an empty 200 is not the manager's", async () => {
  answer = () => Response.json({ n: 1 });
  expect(await get("/x")).toEqual({ n: 1 });
  answer = () => new Response(null, { status: 204 });
  expect(await call("DELETE", "/x")).toBeUndefined();
  answer = () => new Response("");
  expect(await errorOf(get("/x"))).toMatchObject({ code: "foreign" });
});

test("a network that fails is not a refusal", async () => {
  answer = () => Promise.reject(new TypeError("failed to fetch"));
  expect(await errorOf(get("/x"))).toMatchObject({ status: 0, code: "unreachable" });
});
