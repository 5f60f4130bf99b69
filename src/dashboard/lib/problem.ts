/** Errors of calls to the manager: its refusals, and failures of the network. */
import type { FieldError, Problem } from "../../protocol/problem.ts";

/** A refusal (`status` ≥ 400) or an unreachable manager (`status` 0). `message` is for people. */
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

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && "detail" in value;
}

/**
 * The error of a refusal. Of a body that is no problem document (a proxy's page), the error names
 * the status only.
 */
export function apiErrorOf(status: number, text: string): ApiError {
  try {
    const value: unknown = JSON.parse(text);
    if (isProblem(value)) return new ApiError(status, value);
  } catch {
    // Not JSON: the status is all there is.
  }
  return new ApiError(status, { code: "unknown", detail: `The manager answered ${status}.` });
}

/** The text to show for anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
