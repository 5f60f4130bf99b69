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
  /** Which of the task's links: the instant at which it ends. Absent for a token. */
  link?: number;
  /** When the session expires, in epoch milliseconds; null for never. */
  untilMs: number | null;
}

/** One text for all sockets of one holder: of a token, with the sessions that it bought, or of a share link. */
export function holderOf({ token, link }: Viewer): string {
  return token === null ? `link ${link ?? ""}` : `token ${token}`;
}

/**
 * The viewer that a forwarded upgrade names. Throws when it names none, which would be a bug of the
 * Worker.
 */
export function viewerOf(request: Request): Viewer {
  return JSON.parse(request.headers.get(VIEWER_HEADER)!) as Viewer;
}
