/** What is about the manager itself: health, its API's description, what problem codes mean. */
import { PROBLEMS } from "../protocol/problem.ts";
import { VERSION } from "../protocol/version.ts";
import { json, notFound } from "./answers.ts";
import type { PublicHandler } from "./context.ts";
import { problemType } from "../platform/problem-response.ts";

/** GET /healthz: the Worker answers; it asks nobody, so that probes cost nothing. */
export const health: PublicHandler = async () => json({ status: "ok", version: VERSION });

/** GET /problems/{code}: what the `type` of a problem document points at. */
export const describeProblem: PublicHandler = async (_request, { params }) => {
  const code = params["code"] ?? "";
  if (!Object.hasOwn(PROBLEMS, code)) return notFound("problem code");
  const { status, title } = PROBLEMS[code as keyof typeof PROBLEMS];
  return json({ type: problemType(code), code, status, title });
};
