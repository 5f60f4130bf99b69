/** Errors of calls to the manager: its refusals, and failures of what is between. */
import { foreignAnswerText, ownProblem, type AnswerHead } from "../../protocol/answer-origin.ts";
import type { FieldError, Problem } from "../../protocol/problem.ts";

/**
 * A refusal by the manager (`status` ≥ 400), or no answer of the manager (`status` 0), whatever
 * another server answered in its place. `message` is for people.
 */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly FieldError[];

  constructor(status: number, problem: Pick<Problem, "code" | "detail" | "errors">) {
    super(problem.detail);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code;
    this.errors = problem.errors ?? [];
  }
}

/**
 * The JSON of an answer; undefined for 204. Throws `ApiError` for a refusal, and for an answer that
 * is not the manager's: a proxy's page, a sign-in of the network.
 */
export function readAnswer(head: AnswerHead, text: string): unknown {
  const { status } = head;
  if (status === 204) return undefined;
  try {
    if (status >= 200 && status < 300) return JSON.parse(text) as unknown;
  } catch {
    // A page with 200: nobody but the manager says that something was done.
  }
  throw errorOf(head, text);
}

/** The error of an answer that is no success, or no answer of the manager. */
export function errorOf(head: AnswerHead, text: string): ApiError {
  const problem = ownProblem(head, text);
  if (problem) return new ApiError(head.status, problem);
  const detail = foreignAnswerText(head, text, "this page and the manager");
  return new ApiError(0, { code: "foreign", detail: `${detail[0]!.toUpperCase()}${detail.slice(1)}.` });
}

/** The text to show for anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
