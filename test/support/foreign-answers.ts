/**
 * Answers that are not the manager's: those of firewalls, proxies, sign-in pages and other sites,
 * and problem documents that were changed on the way.
 */
import { problemType } from "../../src/protocol/problem.ts";

export interface ForeignAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const page = (status: number, title: string): ForeignAnswer => ({
  status,
  headers: { "content-type": "text/html; charset=UTF-8" },
  body: `<!doctype html><title>${title}</title><h1>${title}</h1>`,
});

const json = (status: number, value: object, type = "application/json"): ForeignAnswer => ({
  status,
  headers: { "content-type": type },
  body: JSON.stringify(value),
});

const PROBLEM = "application/problem+json";
/** What our manager would say with this status in its document. */
const ours = (status: number, code: string): object => ({
  type: problemType(code),
  title: code,
  status,
  code,
  detail: code,
});

/** By name: the status, and who answers. */
export const FOREIGN_ANSWERS = {
  "401 page": page(401, "Unauthorized"),
  "403 page of a firewall": page(403, "Access denied"),
  "403 challenge of Cloudflare": {
    ...page(403, "Just a moment..."),
    headers: { "content-type": "text/html", "cf-mitigated": "challenge" },
  },
  "404 page of a route that is switched off": page(404, "There is nothing here yet"),
  "404 JSON of another API": json(404, { error: { message: "no such route" } }),
  "409 page": page(409, "Conflict"),
  "410 page": page(410, "Gone"),
  "429 text of Cloudflare": {
    status: 429,
    headers: { "content-type": "text/plain; charset=UTF-8" },
    body: "error code: 1027",
  },
  "451 page": page(451, "Unavailable for legal reasons"),
  "503 page": page(503, "Service unavailable"),
  "302 to a sign-in page": {
    status: 302,
    headers: { location: "https://studio.cloudflareaccess.com/cdn-cgi/access/login/farm?kid=secret" },
    body: "",
  },
  "200 page of a hotel": page(200, "Welcome to our network"),
  "401 problem document of another API": json(
    401,
    { ...ours(401, "unauthorized"), type: "https://api.example.com/problems/unauthorized" },
    PROBLEM,
  ),
  "403 problem document with another media type": json(403, ours(403, "forbidden")),
  "404 whose document says 401": json(404, ours(401, "unauthorized"), PROBLEM),
  "409 with the code of a 404": json(409, ours(409, "not_found"), PROBLEM),
} as const satisfies Record<string, ForeignAnswer>;

export type ForeignName = keyof typeof FOREIGN_ANSWERS;

export const FOREIGN_NAMES = Object.keys(FOREIGN_ANSWERS) as ForeignName[];
