/** Refusals as the manager answers them, for tests of clients. */
import { problemResponse } from "../../src/platform/problem-response.ts";
import type { ProblemCode } from "../../src/protocol/problem.ts";

/** The answer of a manager that refuses with this code. */
export function refusal(code: ProblemCode, detail: string, headers: Record<string, string> = {}): Response {
  return problemResponse({ code, detail }, { headers });
}
