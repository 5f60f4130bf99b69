/**
 * Live sockets of one object: a snapshot to whoever comes, then what changes to all, at most four times a second. Hibernatable:
 * what must outlive the object's sleep is in each socket's attachment. With nobody watching `note` returns at once.
 *
 * A message is made once per kind of view and sent to all sockets of that kind, so that what two hundred pages cost is two hundred
 * sends. Nothing is sent to a holder who has not been asked about for 30 s (P9): these wait for the answer.
 */
import { problemResponse } from "../platform/problem-response.ts";
import { CLOSE_SIGNED_OUT, LIVE_EVERY_MS } from "../protocol/live.ts";
import { PING, PONG } from "../protocol/worker.ts";
import { ChangeLog } from "./change-log.ts";
import type { Viewer } from "./viewer.ts";

/** The socket's tag, to tell it from workers' sockets. */
const TAG = "live";
/** Before this much time has passed since a holder was asked about, a message is sent without asking. */
const RECHECK_MS = 30_000;
/** Changes are noted for so long after the last socket went: a page that comes back from a short break gets what it missed. */
const RECORD_MS = 60_000;
/** Pages ping at least once a minute, even in a background tab; one this silent is gone, whether or not its close arrived. */
const SILENT_MS = 180_000;
/** More pages than this are told less often, so that what they take of the object's time does not rise with their number. */
const OFTEN_TOLD = 50;
/** A watched object has better things to do than serve more. */
export const MAX_SOCKETS = 2_000;
/** The manager could not ask whether the holder may still watch; it may come again at once. */
const CLOSE_AGAIN = 1013;

interface Attachment {
  viewer: Viewer;
  kind: string;
  openedMs: number;
  checkedMs: number;
}

/** What a feed is made of. */
export interface Source<K> {
  /** Everything, as text. */
  snapshot(kind: string, seq: number, nowMs: number): string;
  /** These things as they are now; null when there is nothing in it for this kind. */
  delta(names: readonly K[], kind: string, seq: number, nowMs: number): string | null;
  /** Those viewers that may still watch. */
  living(viewers: readonly Viewer[]): Promise<readonly Viewer[]>;
  /** Nothing is noted any more. */
  unwatched?(): void;
  /** Whether a page that comes back is told of this; by default it is. */
  resumes?(name: K): boolean;
}

export class LiveFeed<K> {
  readonly #ctx: DurableObjectState;
  readonly #source: Source<K>;
  readonly #sockets = new Map<WebSocket, Attachment>();
  readonly #changes = new ChangeLog<K>(Date.now());
  #recordUntilMs = 0;
  #whole = false;
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
    this.#source.unwatched?.();
    return false;
  }

  /** Whether somebody watches in this way. */
  has(kind: string): boolean {
    for (const { kind: own } of this.#sockets.values()) if (own === kind) return true;
    return false;
  }

  /** This has changed. */
  note(name: K): void {
    if (!this.watched) return;
    this.#changes.note(name);
    this.#arm();
  }

  /** More has changed than is worth naming: everybody gets a new snapshot. */
  reset(): void {
    if (!this.watched) return;
    this.#changes.forget();
    this.#whole = true;
    this.#arm();
  }

  /** Take a socket and send it how things stand, or what it missed since `after`. 503 when there are too many. */
  open(viewer: Viewer, kind: string, after: number | undefined): Response {
    if (this.#sockets.size >= MAX_SOCKETS)
      return problemResponse({ code: "overloaded", detail: `${MAX_SOCKETS} pages are watching this already.` });
    const nowMs = Date.now();
    if (!this.watched) this.#changes.forget();
    this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    const { 0: client, 1: server } = new WebSocketPair();
    const attachment: Attachment = { viewer, kind, openedMs: nowMs, checkedMs: nowMs };
    this.#ctx.acceptWebSocket(server, [TAG]);
    server.serializeAttachment(attachment);
    this.#sockets.set(server, attachment);
    const { seq } = this.#changes;
    const since = after === undefined ? null : this.#changes.since(after);
    const missed = since?.filter((name) => this.#source.resumes?.(name) ?? true);
    const text = missed
      ? (this.#source.delta(missed, kind, seq, nowMs) ?? JSON.stringify({ type: "delta", seq, now_ms: nowMs }))
      : this.#source.snapshot(kind, seq, nowMs);
    this.#send(server, text);
    // What was noted while nobody was there is told once more, with a number of its own.
    if (this.#changes.waiting) this.#arm();
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Whether the socket was one of ours; its other side is gone. */
  closed(socket: WebSocket): boolean {
    if (!this.#sockets.delete(socket)) return false;
    if (this.#sockets.size === 0) this.#recordUntilMs = Date.now() + RECORD_MS;
    return true;
  }

  /** Close those sockets that are meant. */
  close(code: number, reason: string, meant: (viewer: Viewer) => boolean = () => true): void {
    for (const [socket, { viewer }] of this.#sockets) if (meant(viewer)) this.#drop(socket, code, reason);
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#sockets.size === 0) return;
    const everyMs = LIVE_EVERY_MS * Math.max(1, this.#sockets.size / OFTEN_TOLD);
    const waitMs = Math.max(0, this.#sentMs + everyMs - Date.now());
    this.#timer = setTimeout(() => void this.#flush(), Math.min(waitMs, everyMs));
  }

  /** Send what has changed. The timer stays set until all have it: a slow question delays the next message, never its order. */
  async #flush(): Promise<void> {
    const nowMs = Date.now();
    this.#sentMs = nowMs;
    try {
      const names = this.#changes.step();
      if (names === null && !this.#whole) return;
      const texts = new Map<string, string | null>();
      const whole = this.#whole;
      this.#whole = false;
      const { seq } = this.#changes;
      const textFor = (kind: string): string | null => {
        let text = texts.get(kind);
        if (text === undefined) {
          text = whole ? this.#source.snapshot(kind, seq, nowMs) : this.#source.delta(names ?? [], kind, seq, nowMs);
          texts.set(kind, text);
        }
        return text;
      };
      const due: [WebSocket, Attachment][] = [];
      for (const [socket, attachment] of this.#sockets) {
        if (this.#isOver(socket, attachment, nowMs)) continue;
        const text = textFor(attachment.kind);
        if (text === null) continue;
        if (nowMs - attachment.checkedMs >= RECHECK_MS) due.push([socket, attachment]);
        else this.#send(socket, text);
      }
      if (due.length > 0) await this.#askThenSend(due, textFor, nowMs);
    } catch (error) {
      // They come again and get a snapshot, instead of missing something.
      console.error("a live message could not be made", error);
      this.close(CLOSE_AGAIN, "try again");
    } finally {
      this.#timer = undefined;
      if (this.#changes.waiting || this.#whole) this.#arm();
    }
  }

  async #askThenSend(
    due: readonly [WebSocket, Attachment][],
    textFor: (kind: string) => string | null,
    nowMs: number,
  ): Promise<void> {
    const texts = due.map(([, { kind }]) => textFor(kind));
    let living: readonly Viewer[] | null = null;
    try {
      living = await this.#source.living(due.map(([, { viewer }]) => viewer));
    } catch (error) {
      console.warn("could not ask whether live viewers may still watch", error);
    }
    for (const [i, [socket, attachment]] of due.entries()) {
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

  #isOver(socket: WebSocket, { viewer, openedMs }: Attachment, nowMs: number): boolean {
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
      // It broke; its close event may or may not come.
      this.closed(socket);
    }
  }

  #drop(socket: WebSocket, code: number, reason: string): void {
    this.closed(socket);
    try {
      socket.close(code, reason);
    } catch {
      // Closed already.
    }
  }
}
