/**
 * Who watches through a live socket, as the Worker tells the object in a header it alone writes. An open socket outlives the
 * request that was authenticated, so the object asks again from time to time whether its holder may still watch.
 */

/** Set by the Worker on the upgrade it forwards; whatever a client sends under it is dropped. */
export const VIEWER_HEADER = "Tablao-Viewer";

export interface Viewer {
  /** Id of the token it signed in with, 0 for the admin token of the environment; null for a share link. */
  token: number | null;
  /** Generation of the share link; null for tokens. */
  share: number | null;
  /** When the session ends by itself; null for never. */
  untilMs: number | null;
}

/** The viewer a forwarded upgrade names. Throws when the Worker named none: a bug of ours. */
export function viewerOf(request: Request): Viewer {
  return JSON.parse(request.headers.get(VIEWER_HEADER)!) as Viewer;
}
