/**
 * The live sockets of one object. A new socket gets a snapshot; then every socket gets what
 * changes, at most four times a second.
 *
 * - The sockets hibernate: what must outlive the object's sleep is in each socket's attachment.
 * - While no page watches, `note` returns at once.
 * - A message is made once for each kind of view and sent to all sockets of that kind, so each page
 *   more costs one send more.
 * - Nothing is sent to a viewer whose access was last checked 30 s ago or longer (P9): its message
 *   waits for the check.
 */
import { problemResponse } from "../platform/problem-response.ts";
import { CLOSE_SIGNED_OUT, LIVE_EVERY_MS } from "../protocol/live.ts";
import { PING, PONG } from "../protocol/worker.ts";
import { ChangeLog } from "./change-log.ts";
import { holderOf, type Viewer } from "./viewer.ts";

/** Tells these sockets from those of workers. */
const TAG = "live";
/**
 * A viewer's access is checked again after this: so long a revoked token still sees what changes
 * (P9 allows 60 s).
 */
const RECHECK_MS = 30_000;
/**
 * Changes are noted this much longer after the last socket closed: a page that reconnects gets what
 * it missed, not a snapshot.
 */
const RECORD_MS = 60_000;
/**
 * Pages ping at least once a minute, even in a background tab. One this silent is gone, even if its
 * close never arrived.
 */
const SILENT_MS = 180_000;
/**
 * With more pages than this, messages are sent less often: otherwise their share of the object's
 * time rises with their number.
 */
const FULL_RATE_SOCKETS = 50;
/**
 * The most sockets of one object; further ones are refused, because each costs the object time that
 * leases need.
 */
const MAX_SOCKETS = 2_000;
/**
 * The most sockets of one holder of one object: of a token, or of a share link, whose holder needs no
 * account. Without it, one holder could open all that there are, and shut everybody else out. A
 * studio's admin token is shared by many pages.
 */
export const MAX_SOCKETS_OF_TOKEN = 500;
export const MAX_SOCKETS_OF_LINK = 100;
/**
 * A costly snapshot is sent to further sockets for this long, with what has changed since. Without it,
 * opening sockets would cost the object a walk over all frames each time: 1.7 s with ten million.
 */
const SNAPSHOT_MS = 10_000;
/** Close code: the manager could not send or check now; the page may reconnect at once. */
const CLOSE_AGAIN = 1013;

interface Attachment {
  viewer: Viewer;
  kind: string;
  openedMs: number;
  checkedMs: number;
}

/** Where a feed gets its messages. `K`: the name of a thing that changes. */
export interface Source<K> {
  /** The whole view, as JSON text. */
  snapshot(kind: string, seq: number, nowMs: number): string;
  /** Whether a snapshot takes long to make; by default it does not. */
  isCostly?(): boolean;
  /** These things as they are now, as JSON text; null when this kind of view shows none of them. */
  delta(names: readonly K[], kind: string, seq: number, nowMs: number): string | null;
  /** Those viewers that may still watch. */
  living(viewers: readonly Viewer[]): Promise<readonly Viewer[]>;
  /**
   * No page watches, and none that has just gone may come back: what was kept for the feed can be
   * dropped.
   */
  unwatched?(): void;
  /** Whether a page that reconnects gets a change of this; by default it does. */
  resumes?(name: K): boolean;
}

export class LiveFeed<K> {
  readonly #ctx: DurableObjectState;
  readonly #source: Source<K>;
  readonly #sockets = new Map<WebSocket, Attachment>();
  readonly #changes = new ChangeLog<K>(Date.now());
  #recordUntilMs = 0;
  /** The next message is a snapshot to all. */
  #snapshotDue = false;
  /** The newest costly snapshots, by kind of view. */
  readonly #snapshots = new Map<string, { text: string; seq: number; madeMs: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sentMs = 0;

  constructor(ctx: DurableObjectState, source: Source<K>) {
    this.#ctx = ctx;
    this.#source = source;
    for (const socket of ctx.getWebSockets(TAG))
      this.#sockets.set(socket, socket.deserializeAttachment() as Attachment);
  }

  /** Sockets that are open. */
  get count(): number {
    return this.#sockets.size;
  }

  /** Whether changes are worth noting. */
  get watched(): boolean {
    if (this.#sockets.size > 0) return true;
    if (this.#recordUntilMs === 0) return false;
    if (Date.now() < this.#recordUntilMs) return true;
    this.#recordUntilMs = 0;
    this.#snapshots.clear();
    this.#source.unwatched?.();
    return false;
  }

  /** Whether a socket has this kind of view. */
  has(kind: string): boolean {
    for (const { kind: own } of this.#sockets.values()) if (own === kind) return true;
    return false;
  }

  /** This has changed: it is in the next message. */
  note(name: K): void {
    if (!this.watched) return;
    this.#changes.note(name);
    this.#arm();
  }

  /** Too much has changed to be named: the next message is a snapshot to all. */
  reset(): void {
    if (!this.watched) return;
    this.#changes.forget();
    this.#snapshotDue = true;
    this.#arm();
  }

  /**
   * The upgrade of a new socket, which is sent a snapshot, or what has changed since message
   * `after` if that is known. 503 with a problem document when there are too many sockets.
   */
  open(viewer: Viewer, kind: string, after: number | undefined): Response {
    if (this.#sockets.size >= MAX_SOCKETS)
      return problemResponse({ code: "overloaded", detail: `${MAX_SOCKETS} pages are watching this already.` });
    const maxOfHolder = viewer.token === null ? MAX_SOCKETS_OF_LINK : MAX_SOCKETS_OF_TOKEN;
    if (this.#socketsOf(holderOf(viewer)) >= maxOfHolder) {
      const whose = viewer.token === null ? "link" : "token";
      const detail = `${maxOfHolder} pages are watching this with this ${whose} already.`;
      return problemResponse({ code: "overloaded", detail });
    }
    const nowMs = Date.now();
    if (!this.watched) this.#changes.forget();
    this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    const { 0: client, 1: server } = new WebSocketPair();
    const attachment: Attachment = { viewer, kind, openedMs: nowMs, checkedMs: nowMs };
    this.#ctx.acceptWebSocket(server, [TAG]);
    server.serializeAttachment(attachment);
    this.#sockets.set(server, attachment);
    const since = after === undefined ? null : this.#changes.since(after);
    const missed = since?.filter((name) => this.#source.resumes?.(name) ?? true);
    if (missed) this.#send(server, this.#changesText(missed, kind, nowMs));
    else this.#sendSnapshot(server, kind, nowMs);
    // Changes that were noted while no socket was open are sent once more, in a message with a
    // number of its own.
    if (this.#changes.waiting) this.#arm();
    return new Response(null, { status: 101, webSocket: client });
  }

  #socketsOf(holder: string): number {
    let count = 0;
    for (const { viewer } of this.#sockets.values()) if (holderOf(viewer) === holder) count++;
    return count;
  }

  #changesText(names: readonly K[], kind: string, nowMs: number): string {
    const { seq } = this.#changes;
    return this.#source.delta(names, kind, seq, nowMs) ?? JSON.stringify({ type: "delta", seq, now_ms: nowMs });
  }

  /** A new snapshot, or a costly one that was made a moment ago and then what has changed since. */
  #sendSnapshot(socket: WebSocket, kind: string, nowMs: number): void {
    const { seq } = this.#changes;
    const known = this.#snapshots.get(kind);
    const missed = known && nowMs - known.madeMs < SNAPSHOT_MS ? this.#changes.since(known.seq) : null;
    if (known && missed) {
      this.#send(socket, known.text);
      const names = missed.filter((name) => this.#source.resumes?.(name) ?? true);
      this.#send(socket, this.#changesText(names, kind, nowMs));
      return;
    }
    const text = this.#source.snapshot(kind, seq, nowMs);
    if (this.#source.isCostly?.()) this.#snapshots.set(kind, { text, seq, madeMs: nowMs });
    else this.#snapshots.delete(kind);
    this.#send(socket, text);
  }

  /** A socket has closed. Answers whether it was one of this feed. */
  closed(socket: WebSocket): boolean {
    if (!this.#sockets.delete(socket)) return false;
    if (this.#sockets.size === 0) this.#recordUntilMs = Date.now() + RECORD_MS;
    return true;
  }

  /** Close the sockets of the viewers that `matches` accepts; all by default. */
  close(code: number, reason: string, matches: (viewer: Viewer) => boolean = () => true): void {
    for (const [socket, { viewer }] of this.#sockets) if (matches(viewer)) this.#drop(socket, code, reason);
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#sockets.size === 0) return;
    const everyMs = LIVE_EVERY_MS * Math.max(1, this.#sockets.size / FULL_RATE_SOCKETS);
    const waitMs = Math.max(0, this.#sentMs + everyMs - Date.now());
    this.#timer = setTimeout(() => void this.#flush(), Math.min(waitMs, everyMs));
  }

  /**
   * Send what has changed. The timer counts as set until all sockets have the message, so a slow
   * access check delays the next message and cannot change the order.
   */
  async #flush(): Promise<void> {
    const nowMs = Date.now();
    this.#sentMs = nowMs;
    try {
      const names = this.#changes.step();
      if (names === null && !this.#snapshotDue) return;
      const texts = new Map<string, string | null>();
      const asSnapshot = this.#snapshotDue;
      this.#snapshotDue = false;
      const { seq } = this.#changes;
      const textFor = (kind: string): string | null => {
        let text = texts.get(kind);
        if (text === undefined) {
          text = asSnapshot
            ? this.#source.snapshot(kind, seq, nowMs)
            : this.#source.delta(names ?? [], kind, seq, nowMs);
          texts.set(kind, text);
        }
        return text;
      };
      const toCheck: [WebSocket, Attachment][] = [];
      for (const [socket, attachment] of this.#sockets) {
        if (this.#closeIfOver(socket, attachment, nowMs)) continue;
        const text = textFor(attachment.kind);
        if (text === null) continue;
        if (nowMs - attachment.checkedMs >= RECHECK_MS) toCheck.push([socket, attachment]);
        else this.#send(socket, text);
      }
      if (toCheck.length > 0) await this.#checkThenSend(toCheck, textFor, nowMs);
    } catch (error) {
      // The pages reconnect and get a snapshot. Left open, they would miss a change.
      console.error("a live message could not be made", error);
      this.close(CLOSE_AGAIN, "try again");
    } finally {
      this.#timer = undefined;
      if (this.#changes.waiting || this.#snapshotDue) this.#arm();
    }
  }

  async #checkThenSend(
    toCheck: readonly [WebSocket, Attachment][],
    textFor: (kind: string) => string | null,
    nowMs: number,
  ): Promise<void> {
    const texts = toCheck.map(([, { kind }]) => textFor(kind));
    let living: readonly Viewer[] | null = null;
    try {
      living = await this.#source.living(toCheck.map(([, { viewer }]) => viewer));
    } catch (error) {
      console.warn("could not ask whether live viewers may still watch", error);
    }
    for (const [i, [socket, attachment]] of toCheck.entries()) {
      if (!this.#sockets.has(socket)) continue;
      if (living === null) this.#drop(socket, CLOSE_AGAIN, "try again");
      else if (!living.includes(attachment.viewer)) this.#drop(socket, CLOSE_SIGNED_OUT, "signed out");
      else {
        attachment.checkedMs = nowMs;
        socket.serializeAttachment(attachment);
        this.#send(socket, texts[i]!);
      }
    }
  }

  #closeIfOver(socket: WebSocket, { viewer, openedMs }: Attachment, nowMs: number): boolean {
    const signMs = Math.max(openedMs, this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0);
    if (viewer.untilMs !== null && viewer.untilMs <= nowMs) this.#drop(socket, CLOSE_SIGNED_OUT, "the session is over");
    else if (nowMs - signMs >= SILENT_MS) this.#drop(socket, CLOSE_AGAIN, "silent for too long");
    else return false;
    return true;
  }

  #send(socket: WebSocket, text: string): void {
    try {
      socket.send(text);
    } catch {
      // The socket is broken, and its close event may never come.
      this.closed(socket);
    }
  }

  #drop(socket: WebSocket, code: number, reason: string): void {
    this.closed(socket);
    try {
      socket.close(code, reason);
    } catch {
      // It is closed already.
    }
  }
}
