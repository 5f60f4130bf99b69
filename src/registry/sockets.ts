/**
 * The workers' hibernatable WebSockets. The runtime answers pings itself, which wakes and costs nothing; what must outlive
 * hibernation sits in each socket's attachment, so an idle farm has no rows to write and no timer to keep.
 */
import { PING, PONG, type Push } from "../protocol/worker.ts";
import { graceMs } from "./idle-workers.ts";

/** Workers' sockets: pages have some, too. */
const TAG = "worker";

/** A newer socket of the same worker took over. */
export const CLOSE_REPLACED = 4000;
/** The worker has been removed: its secret is void, there is no use in connecting again. */
export const CLOSE_REMOVED = 4001;

/** What a socket remembers (under the 2 KB an attachment may hold). */
interface Attachment {
  worker: number;
  openedMs: number;
  /** Closed in favour of a newer one, or for good: the closing handshake may take a while. */
  over: boolean;
  /** The worker waits for a push: it has just connected, or its last question was answered with nothing. */
  idle: boolean;
  /** Pushes in a row that it has not followed, the task of the latest, and until when it has time to come. */
  wakes: number;
  wokenFor: number;
  wokenUntilMs: number;
}

interface Line {
  socket: WebSocket;
  state: Attachment;
}

export class Sockets {
  readonly #ctx: DurableObjectState;
  readonly #lines = new Map<number, Line>();

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    for (const socket of ctx.getWebSockets(TAG)) {
      const state = socket.deserializeAttachment() as Attachment | null;
      if (state && !state.over) this.#lines.set(state.worker, { socket, state });
    }
  }

  /** Take a new socket of this worker; an older one is closed. */
  open(worker: number, socket: WebSocket, nowMs: number): void {
    this.close(worker, CLOSE_REPLACED, "replaced by a newer connection");
    this.#ctx.acceptWebSocket(socket, [TAG, `w:${worker}`]);
    const state = { worker, openedMs: nowMs, over: false, idle: true, wakes: 0, wokenFor: 0, wokenUntilMs: 0 };
    socket.serializeAttachment(state);
    this.#lines.set(worker, { socket, state });
  }

  close(worker: number, code: number, reason: string): void {
    const line = this.#lines.get(worker);
    if (!line) return;
    this.#lines.delete(worker);
    this.#keep(line, { over: true });
    line.socket.close(code, reason);
  }

  /** The other side is gone; undefined when a newer socket had taken over. Answers the worker that lost its line. */
  closed(socket: WebSocket): number | undefined {
    const state = socket.deserializeAttachment() as Attachment | null;
    if (!state || this.#lines.get(state.worker)?.socket !== socket) return undefined;
    this.#lines.delete(state.worker);
    return state.worker;
  }

  /** Send a message; whether there was an open socket to send it to. */
  push(worker: number, push: Push): boolean {
    const line = this.#lines.get(worker);
    if (!line || line.socket.readyState !== WebSocket.OPEN) return false;
    try {
      line.socket.send(JSON.stringify(push));
      return true;
    } catch {
      // It broke between the check and the send; its close event is on the way.
      return false;
    }
  }

  /** Push `work`; until when the worker has time to come, or null when there is no socket to push to. */
  wake(worker: number, taskId: number, nowMs: number): number | null {
    const line = this.#lines.get(worker);
    if (!line || !this.push(worker, { type: "work" })) return null;
    const wakes = line.state.wakes + 1;
    const wokenUntilMs = nowMs + graceMs(wakes);
    this.#keep(line, { wakes, wokenFor: taskId, wokenUntilMs });
    return wokenUntilMs;
  }

  /** The worker has asked or said that it is busy: it waits for a push now, or it does not. */
  setIdle(worker: number, idle: boolean): void {
    const line = this.#lines.get(worker);
    if (line && (line.state.idle !== idle || line.state.wakes > 0)) {
      this.#keep(line, { idle, wakes: 0, wokenFor: 0, wokenUntilMs: 0 });
    }
  }

  /** Newest ping, or the opening; null without a socket. */
  signMs(worker: number): number | null {
    const line = this.#lines.get(worker);
    if (!line) return null;
    const ping = this.#ctx.getWebSocketAutoResponseTimestamp(line.socket)?.getTime() ?? 0;
    return Math.max(ping, line.state.openedMs);
  }

  /** States of the sockets whose workers wait for a push. */
  *idle(): Generator<Readonly<Attachment>> {
    for (const { state } of this.#lines.values()) if (state.idle) yield state;
  }

  #keep(line: Line, change: Partial<Attachment>): void {
    Object.assign(line.state, change);
    line.socket.serializeAttachment(line.state);
  }
}
