import { describe, expect, test } from "vitest";
import { FOREIGN_ANSWERS, FOREIGN_NAMES, type ForeignName } from "../../test/support/foreign-answers.ts";
import { foreignAnswerText, isNoFile, ownProblem, type AnswerHead } from "./answer-origin.ts";
import { PROBLEM_MEDIA_TYPE, PROBLEMS, problemType, type ProblemCode } from "./problem.ts";

function headOf(status: number, headers: Record<string, string>): AnswerHead {
  return { status, header: (name) => headers[name] ?? null };
}

const problem = (status: number, code: string, more: object = {}): string =>
  JSON.stringify({ type: problemType(code), title: "t", status, code, detail: "d", ...more });
const OURS = { "content-type": PROBLEM_MEDIA_TYPE };

describe("the manager's own refusals", () => {
  test.each(Object.keys(PROBLEMS) as ProblemCode[])("%s under its status", (code) => {
    const { status } = PROBLEMS[code];
    expect(ownProblem(headOf(status, OURS), problem(status, code))?.code).toBe(code);
  });

  test("a code of a newer manager counts under any status, with fields that this version does not know", () => {
    const errors = [{ field: "a", message: "b", since: 2 }];
    const found = ownProblem(headOf(410, OURS), problem(410, "task_archived", { errors, since: 2 }));
    expect(found).toMatchObject({ code: "task_archived", status: 410, errors: [{ field: "a", message: "b" }] });
  });

  test("the media type may have parameters and capitals", () => {
    const head = headOf(404, { "content-type": "Application/Problem+JSON; charset=utf-8" });
    expect(ownProblem(head, problem(404, "not_found"))?.status).toBe(404);
  });
});

describe("answers of others", () => {
  test.each(FOREIGN_NAMES)("%s is not the manager's", (name) => {
    const { status, headers, body } = FOREIGN_ANSWERS[name];
    expect(ownProblem(headOf(status, headers), body)).toBeNull();
  });

  test.each([
    ["broken off", problem(404, "not_found").slice(0, -1)],
    ["a list", "[]"],
    ["null", "null"],
    ["without detail", problem(404, "not_found", { detail: undefined })],
    ["with errors that are none", problem(404, "not_found", { errors: [{ field: 1 }] })],
  ])("a document that is %s is not the manager's", (_what, text) => {
    expect(ownProblem(headOf(404, OURS), text)).toBeNull();
  });

  const said = (name: ForeignName): string => {
    const { status, headers, body } = FOREIGN_ANSWERS[name];
    return foreignAnswerText(headOf(status, headers), body, "this machine and https://farm.example.com");
  };

  test("the sentence names both ends, the status, the kind of body and the likely cause", () => {
    expect(said("403 page of a firewall")).toBe(
      "something between this machine and https://farm.example.com answered 403 with HTML (a firewall or bot rule?)",
    );
    expect(said("403 challenge of Cloudflare")).toContain("(a challenge of Cloudflare: Bot Fight Mode");
    expect(said("429 text of Cloudflare")).toMatch(/429 with plain text \(Cloudflare's error 1027: .*used up/);
    expect(said("404 JSON of another API")).toContain("404 with JSON that is not a manager's (a wrong address");
    expect(said("200 page of a hotel")).toContain("200 with HTML (a sign-in page of the network");
    expect(said("503 page")).toContain("503 with HTML (the manager is being replaced");
  });

  test("P9: of a redirect, the sentence has the address without its query", () => {
    expect(said("302 to a sign-in page")).toContain(
      "302 with a redirect to https://studio.cloudflareaccess.com/cdn-cgi/access/login/farm (Cloudflare Access)",
    );
    expect(foreignAnswerText(headOf(301, { location: `/in?token=secret#x` }), "", "a and b")).toContain(
      "a redirect to /in (",
    );
    expect(foreignAnswerText(headOf(301, { location: "x".repeat(9_000) }), "", "a and b").length).toBeLessThan(300);
  });

  test("Cloudflare's error is found in HTML and in JSON, too", () => {
    const html = '<span class="cf-error-type">Error</span> <span class="cf-error-code">1020</span>';
    expect(foreignAnswerText(headOf(403, { "content-type": "text/html" }), html, "a and b")).toContain(
      "Cloudflare's error 1020: a firewall rule",
    );
    const json = '{"error_code": 1015}';
    expect(foreignAnswerText(headOf(429, { "content-type": "application/json" }), json, "a and b")).toContain("1015");
  });

  test("nothing of a strange media type gets into the sentence", () => {
    const head = headOf(403, { "content-type": "text/\u001b[31mhtml" });
    expect(foreignAnswerText(head, "x", "a and b")).toContain("403 with content without a type");
  });
});

test("a page or a message in place of a file is recognised; text and bytes are files", () => {
  const no = (type: string | undefined): boolean => isNoFile(headOf(200, type ? { "content-type": type } : {}));
  expect(["text/html", "TEXT/HTML; charset=utf-8", "application/json", PROBLEM_MEDIA_TYPE].map(no)).toEqual(
    Array(4).fill(true),
  );
  expect([undefined, "text/plain; charset=utf-8", "image/png", "application/octet-stream"].map(no)).toEqual(
    Array(4).fill(false),
  );
});
