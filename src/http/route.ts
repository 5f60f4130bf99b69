/** A row of the route table: how a route describes itself, and who answers it. */
import type { RouteDescription, Who } from "../protocol/openapi.ts";
import type { Handler, PublicHandler } from "./context.ts";

export interface PrivateRoute extends RouteDescription {
  who: readonly Who[];
  /** The token is looked up past the cache. */
  fresh?: true;
  handler: Handler;
}

export interface PublicRoute extends RouteDescription {
  who: "anyone";
  /** The last parameter takes the rest of the address, slashes included. */
  deep?: boolean;
  handler: PublicHandler;
}

export type Route = PrivateRoute | PublicRoute;

/** Who may look at the farm: everybody but join tokens, which can do one thing only. */
export const READERS: readonly Who[] = ["admin", "artist", "viewer", "worker"];
/** Who may look at what is none of a worker's business. */
export const PEOPLE: readonly Who[] = ["admin", "artist", "viewer"];
/** Who may look at one task: people, and the holder of a link to it. */
export const VIEWERS: readonly Who[] = [...PEOPLE, "share"];
/** The same, and workers. */
export const TASK_READERS: readonly Who[] = [...READERS, "share"];
export const SUBMITTERS: readonly Who[] = ["admin", "artist"];
export const ADMINS: readonly Who[] = ["admin"];
export const WORKERS: readonly Who[] = ["worker"];
