/**
 * A route is declared once, with `defineRoute`: what it takes, who may call it, what it answers,
 * and its handler. The router, validation, authorisation, `/openapi.json`, the list of the
 * authorisation matrix and the table in `docs/http-api.md` are all made from that declaration.
 */
import type { z } from "zod";
import type { Result } from "../../lib/result.ts";
import type { AnswerDescription, RouteDescription, Who } from "../../protocol/openapi.ts";
import type { Refusal } from "../../protocol/problem.ts";
import type { Principal } from "../../protocol/token.ts";
import type { Env } from "../../rpc/env.ts";
import type { PathParameter } from "./path-parameters.ts";
import type { Reply } from "./responses.ts";

/** All roles but join tokens, which can register a worker and do nothing else. */
export const READERS: readonly Who[] = ["admin", "artist", "viewer", "worker"];
/** People: what workers have no use for. */
export const PEOPLE: readonly Who[] = ["admin", "artist", "viewer"];
/** People, and the holder of a link to the task. */
export const VIEWERS: readonly Who[] = [...PEOPLE, "share"];
/** People, workers, and the holder of a link to the task. */
export const TASK_READERS: readonly Who[] = [...READERS, "share"];
export const SUBMITTERS: readonly Who[] = ["admin", "artist"];
export const ADMINS: readonly Who[] = ["admin"];
export const WORKERS: readonly Who[] = ["worker"];

/**
 * How the caller proved who it is: with a long-lived secret, with an access token bought with one,
 * with the page's cookie, or with the text of a share link. Only a secret buys an access token: if
 * an access token could buy the next one, a revocation would never take effect.
 */
export type Credential = "secret" | "access" | "session" | "share";

/** What every handler is given. */
export interface RequestContext {
  request: Request;
  url: URL;
  env: Env;
  ctx: ExecutionContext;
}

/** Who calls. The router has checked the token and its role. */
export interface CallerContext {
  principal: Principal;
  credential: Credential;
  /**
   * When the credential expires; null for one that lasts until it is revoked, or is looked up again
   * anyway.
   */
  untilMs: number | null;
}

type Answers = Readonly<Record<number, AnswerDescription>>;

/** The JSON body that a declared answer has; null for an answer without one. */
type BodyOf<A extends AnswerDescription> = A extends { schema: infer S extends z.ZodType } ? z.output<S> : null;

/**
 * What a handler returns. A value is answered with the lowest declared 2xx status; `reply` names
 * another declared status, or adds headers; a refusal becomes a problem document. A `Response` is
 * for bytes, sockets and the page.
 */
export type Outcome<A extends Answers> =
  | Response
  | Result<BodyOf<A[keyof A & number]> | Reply<keyof A & number, BodyOf<A[keyof A & number]>>, Refusal>;

/**
 * `{ [name]: the parsed value }` where the route declares a schema; a route without one has no such
 * field.
 */
type Parsed<Name extends string, Schema extends z.ZodType> = [Schema] extends [never]
  ? unknown
  : { [K in Name]: z.output<Schema> };

/**
 * What is known before the query and the body are read: the request, the caller, and the path
 * parameters by name.
 */
type Admission<Params, W> = RequestContext &
  (W extends "anyone" ? unknown : CallerContext) &
  ([Params] extends [never]
    ? unknown
    : { [Name in keyof Params]: Params[Name] extends PathParameter<infer T> ? T : never });

type Input<Params, W, Query extends z.ZodType, Body extends z.ZodType, Admitted> = Admission<Params, W> &
  Parsed<"query", Query> &
  Parsed<"body", Body> &
  ([Admitted] extends [never] ? unknown : { admitted: Admitted });

interface RouteOptions {
  /** The token is looked up past the cache. */
  fresh?: true;
  /** The last path parameter takes the rest of the address, slashes included. */
  deep?: true;
  /**
   * The route is a WebSocket: any other request is refused with 426, and one of another site's page
   * with 403.
   */
  socket?: true;
}

/**
 * A declaration. In the order in which a request is checked: who, params, admit, socket, query,
 * body, handle.
 */
interface RouteSpec<
  Params extends Readonly<Record<string, PathParameter<unknown>>>,
  W extends "anyone" | readonly Who[],
  Query extends z.ZodType,
  Body extends z.ZodType,
  Admitted,
  A extends Answers,
>
  extends Omit<RouteDescription, "params" | "who" | "query" | "body" | "answers">, RouteOptions {
  who: W;
  params?: Params;
  query?: Query;
  body?: Body;
  /** What the text of a form's field stands for, where the body's schema alone does not tell. */
  coerce?: (field: string, text: string, params: Admission<Params, W>) => unknown;
  answers: A;
  /**
   * What must hold before the query and the body are read. The handler gets its value as
   * `admitted`.
   */
  admit?: (input: Admission<Params, W>) => Result<Admitted, Refusal> | Promise<Result<Admitted, Refusal>>;
  /** Answers one request. An expected refusal is returned, never thrown. */
  handle: (input: Input<Params, W, Query, Body, Admitted>) => Promise<Outcome<A>>;
}

/** What `runRoute` collects for a handler; the path parameters stand under their names. */
export interface RouteInput extends RequestContext, Partial<CallerContext> {
  query?: unknown;
  body?: unknown;
  admitted?: unknown;
  [parameter: string]: unknown;
}

/**
 * A declared route as the router uses it: the types of its own handler are checked in `defineRoute`
 * and gone here.
 */
export interface Route extends RouteDescription, RouteOptions {
  /** `params` as a list: one request goes through it once. */
  parameters: readonly (readonly [name: string, parameter: PathParameter<unknown>])[];
  /** The status of a value that is returned without `reply`. */
  status: number;
  coerce?(field: string, text: string, input: RouteInput): unknown;
  admit?(input: RouteInput): Result<unknown, Refusal> | Promise<Result<unknown, Refusal>>;
  handle(input: RouteInput): Promise<Response | Result<unknown, Refusal>>;
}

/**
 * Declare a route. Throws, when the module is loaded, where the path's parameters are not those
 * that are declared.
 */
export function defineRoute<
  const A extends Answers,
  const W extends "anyone" | readonly Who[],
  Params extends Readonly<Record<string, PathParameter<unknown>>> = never,
  Query extends z.ZodType = never,
  Body extends z.ZodType = never,
  Admitted = never,
>(spec: RouteSpec<Params, W, Query, Body, Admitted, A>): Route {
  const parameters = Object.entries(spec.params ?? {});
  const inPath = [...spec.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  if (inPath.join() !== parameters.map(([name]) => name).join())
    throw new Error(`${spec.method} ${spec.path}: its path has other parameters than it declares`);
  const statuses = Object.keys(spec.answers).map(Number);
  const status = Math.min(...statuses.filter((status) => status >= 200 && status < 300));
  return { ...spec, parameters, status } as Route;
}
