/**
 * The viewer of a live socket. The Worker, which authenticates the upgrade, names the viewer to the
 * object in a header. An open socket outlives that request, so the object checks from time to time
 * whether the viewer may still watch.
 */

/**
 * Set by the Worker on the upgrade that it forwards. What a client sends under this name is
 * dropped.
 */
export const VIEWER_HEADER = "Tablao-Viewer";

export interface Viewer {
  /**
   * The id of the token that signed in; 0 for the admin token of the environment; null for a share
   * link.
   */
  token: number | null;
  /** The generation of the share link; null for a token. */
  share: number | null;
  /** When the session expires, in epoch milliseconds; null for never. */
  untilMs: number | null;
}

/**
 * The viewer that a forwarded upgrade names. Throws when it names none, which would be a bug of the
 * Worker.
 */
export function viewerOf(request: Request): Viewer {
  return JSON.parse(request.headers.get(VIEWER_HEADER)!) as Viewer;
}
