/**
 * Tells the manager's own answers from those of whatever stands between it and its clients: a
 * firewall, a proxy, a sign-in page. Only the manager's word may end a worker, a lease, an upload,
 * a command or a session. Used by the agent, the command line and the page. Pure.
 */
import {
  PROBLEM_MEDIA_TYPE,
  PROBLEMS,
  problemType,
  type FieldError,
  type Problem,
  type ProblemCode,
} from "./problem.ts";

/** Status and headers of an answer. */
export interface AnswerHead {
  status: number;
  /** The value of a header; null when the answer does not have it. */
  header: (name: string) => string | null;
}

/**
 * The problem document in an answer; null when the answer is not the manager's.
 *
 * It is the manager's when its media type, its `type` (`/problems/<code>`) and its `status` are
 * those that the manager gives. A code that is not in PROBLEMS is that of a newer manager: callers
 * judge it by its status. A code of PROBLEMS under another status is nobody's word.
 */
export function ownProblem(head: AnswerHead, text: string): Problem | null {
  if (mediaTypeOf(head) !== PROBLEM_MEDIA_TYPE) return null;
  const problem = parseJson(text);
  if (!isProblem(problem) || problem.type !== problemType(problem.code) || problem.status !== head.status) return null;
  const known = Object.hasOwn(PROBLEMS, problem.code) ? PROBLEMS[problem.code as ProblemCode].status : head.status;
  return known === head.status ? problem : null;
}

/**
 * Whether an answer that should be the bytes of a file is a page or a message instead. The manager
 * sends no file as HTML or JSON, whatever its name is (`src/files/content.ts`).
 */
export function isNoFile(head: AnswerHead): boolean {
  const type = mediaTypeOf(head);
  return type === "text/html" || (type !== null && /[/+]json$/.test(type));
}

/**
 * One sentence about an answer that is not the manager's: its status, the kind of its body, and the
 * likely cause. `between` names both ends ("this machine and https://farm.example.com"). `text` is
 * the beginning of the body. Nothing secret is in the sentence: of a redirect it has no query.
 */
export function foreignAnswerText(head: AnswerHead, text: string, between: string): string {
  const target = redirectTarget(head);
  const what = target === null ? `with ${kindOf(head, text)}` : `with a redirect to ${target}`;
  return `something between ${between} answered ${head.status} ${what} (${likelyCause(head, target, text)})`;
}

/** The media type without its parameters, in lower case; null when there is none. */
function mediaTypeOf({ header }: AnswerHead): string | null {
  const type = header("content-type")?.split(";", 1)[0]!.trim().toLowerCase();
  return type === undefined || !/^[\w.+-]+\/[\w.+-]+$/.test(type) ? null : type;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProblem(value: unknown): value is Problem {
  if (typeof value !== "object" || value === null) return false;
  const { type, title, status, code, detail, errors } = value as Partial<Record<keyof Problem, unknown>>;
  return (
    [type, title, code, detail].every((field) => typeof field === "string") &&
    typeof status === "number" &&
    (errors === undefined || (Array.isArray(errors) && errors.every(isFieldError)))
  );
}

function isFieldError(value: unknown): value is FieldError {
  if (typeof value !== "object" || value === null) return false;
  const { field, message } = value as Partial<Record<keyof FieldError, unknown>>;
  return typeof field === "string" && typeof message === "string";
}

/** A redirect's address is shown up to this length: a longer one would fill the line of a log. */
const MAX_TARGET_CHARS = 120;

/** Where a redirect leads, without query and fragment, which may hold secrets; null for none. */
function redirectTarget({ status, header }: AnswerHead): string | null {
  const location = status >= 300 && status < 400 ? header("location") : null;
  if (location === null) return null;
  const url = URL.canParse(location) ? new URL(location) : null;
  const shown = url ? url.origin + url.pathname : location.split(/[?#]/, 1)[0]!;
  return shown.slice(0, MAX_TARGET_CHARS);
}

function kindOf(head: AnswerHead, text: string): string {
  const type = mediaTypeOf(head);
  if (type === "text/html") return "HTML";
  if (type === "text/plain") return "plain text";
  if (type !== null && /[/+]json$/.test(type)) return "JSON that is not a manager's";
  return type ?? (text === "" ? "no content" : "content without a type");
}

/**
 * The numbers of Cloudflare's own error pages that explain what happened: `Errors and exceptions`
 * of the Workers documentation, `Troubleshooting Cloudflare 1XXX errors`.
 */
const CLOUDFLARE_ERRORS: Readonly<Record<string, string>> = {
  1010: "Browser Integrity Check",
  1015: "a rate limit",
  1020: "a firewall rule",
  1027: "the requests of the free plan are used up until 00:00 UTC",
  1101: "the manager's code threw an error",
  1102: "the manager used up its CPU time",
};

const BY_STATUS: Readonly<Record<number, string>> = {
  401: "a sign-in in front of the manager?",
  403: "a firewall or bot rule?",
  404: "a wrong address, or a route that is switched off?",
  407: "a proxy that wants a sign-in?",
  410: "a wrong address, or a route that is switched off?",
  413: "a limit for the size of requests?",
  429: "a rate limit?",
  451: "a block by the network?",
};

function likelyCause({ status, header }: AnswerHead, target: string | null, text: string): string {
  // Every challenge page of Cloudflare has this header ("Detect a Challenge Page response").
  if (header("cf-mitigated") === "challenge")
    return "a challenge of Cloudflare: Bot Fight Mode, Under Attack mode or a WAF rule";
  if (target !== null && /^https:\/\/[^/]+\.cloudflareaccess\.com\//.test(target)) return "Cloudflare Access";
  // `error code: 1027` in plain text, `cf-error-code">1020` in HTML, `"error_code": 1015` in JSON.
  const number = /error[ _-]code[">:\s]{1,5}(1\d{3})\b/i.exec(text)?.[1];
  if (number !== undefined) {
    const why = CLOUDFLARE_ERRORS[number];
    return `Cloudflare's error ${number}${why === undefined ? "" : `: ${why}`}`;
  }
  if (status < 300) return "a sign-in page of the network, or a wrong address?";
  if (status < 400) return "a sign-in page, or a manager that has moved?";
  if (status >= 500) return "the manager is being replaced, or cannot be reached from there?";
  return BY_STATUS[status] ?? "a proxy or firewall?";
}
