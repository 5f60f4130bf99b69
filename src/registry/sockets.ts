/**
 * The workers' hibernatable WebSockets. The runtime answers pings itself, which neither wakes the
 * object nor costs anything. What must outlive hibernation is in each socket's attachment, so an
 * idle farm writes no rows and keeps no timer.
 */
import { PING, PONG, type Push } from "../protocol/worker.ts";
import { graceMs } from "./idle-workers.ts";

/** Tells the sockets of workers from those of pages. */
const TAG = "worker";

/** Close code: a newer socket of the same worker took over. */
const CLOSE_REPLACED = 4000;
/**
 * Close code: the worker has been removed. Its secret is void, so its agent does not connect again.
 */
export const CLOSE_REMOVED = 4001;

/** What a socket remembers over hibernation; an attachment may hold 2 KB. */
interface Attachment {
  worker: number;
  openedMs: number;
  /** The agent's process; null when it does not say, absent in attachments of 0.1. */
  instance?: string | null;
  /**
   * Closed for a newer socket, or for good. The closing handshake may take a while, and the socket
   * is listed until then.
   */
  over: boolean;
  /**
   * The worker waits for a push: it has just connected, or there was nothing for it when it last
   * asked.
   */
  idle: boolean;
  /**
   * Pushes in a row that it has not followed; the task of the latest, and until when the worker has
   * time to come.
   */
  wakes: number;
  wokenFor: number;
  wokenUntilMs: number;
}

interface Connection {
  socket: WebSocket;
  state: Attachment;
}

export class Sockets {
  readonly #ctx: DurableObjectState;
  readonly #connections = new Map<number, Connection>();

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    for (const socket of ctx.getWebSockets(TAG)) {
      const state = socket.deserializeAttachment() as Attachment | null;
      if (state && !state.over) this.#connections.set(state.worker, { socket, state });
    }
  }

  /** Accept a new socket of this worker; its older one is closed. */
  open(worker: number, socket: WebSocket, instance: string | null, nowMs: number): void {
    this.close(worker, CLOSE_REPLACED, "replaced by a newer connection");
    this.#ctx.acceptWebSocket(socket, [TAG, `w:${worker}`]);
    const waiting = { idle: true, wakes: 0, wokenFor: 0, wokenUntilMs: 0 };
    const state = { worker, openedMs: nowMs, instance, over: false, ...waiting };
    socket.serializeAttachment(state);
    this.#connections.set(worker, { socket, state });
  }

  close(worker: number, code: number, reason: string): void {
    const connection = this.#connections.get(worker);
    if (!connection) return;
    this.#connections.delete(worker);
    this.#update(connection, { over: true });
    connection.socket.close(code, reason);
  }

  /**
   * A socket has closed. Answers the worker that is without a connection now; undefined when a
   * newer socket had taken over.
   */
  closed(socket: WebSocket): number | undefined {
    const state = socket.deserializeAttachment() as Attachment | null;
    if (!state || this.#connections.get(state.worker)?.socket !== socket) return undefined;
    this.#connections.delete(state.worker);
    return state.worker;
  }

  /** Send a message. Answers whether there was an open socket to send it to. */
  push(worker: number, push: Push): boolean {
    const connection = this.#connections.get(worker);
    if (!connection || connection.socket.readyState !== WebSocket.OPEN) return false;
    try {
      connection.socket.send(JSON.stringify(push));
      return true;
    } catch {
      // The socket broke between the check and the send; its close event follows.
      return false;
    }
  }

  /**
   * Push `work` for this task. Answers until when the worker has time to come; null when it has no
   * open socket.
   */
  wake(worker: number, taskId: number, nowMs: number): number | null {
    const connection = this.#connections.get(worker);
    if (!connection || !this.push(worker, { type: "work" })) return null;
    const wakes = connection.state.wakes + 1;
    const wokenUntilMs = nowMs + graceMs(wakes);
    this.#update(connection, { wakes, wokenFor: taskId, wokenUntilMs });
    return wokenUntilMs;
  }

  /**
   * The worker has asked for work, or has said that it is busy: from now on it waits for a push, or
   * does not.
   */
  setIdle(worker: number, idle: boolean): void {
    const connection = this.#connections.get(worker);
    if (connection && (connection.state.idle !== idle || connection.state.wakes > 0)) {
      this.#update(connection, { idle, wakes: 0, wokenFor: 0, wokenUntilMs: 0 });
    }
  }

  /** The newest ping, or when the socket was opened; null without a socket. */
  signMs(worker: number): number | null {
    const connection = this.#connections.get(worker);
    if (!connection) return null;
    const ping = this.#ctx.getWebSocketAutoResponseTimestamp(connection.socket)?.getTime() ?? 0;
    return Math.max(ping, connection.state.openedMs);
  }

  /** The agent's process at the other end, and its newest sign of life; null where none is known. */
  instanceOf(worker: number): { instance: string; seenMs: number } | null {
    const instance = this.#connections.get(worker)?.state.instance ?? null;
    return instance === null ? null : { instance, seenMs: this.signMs(worker)! };
  }

  /** The agent is about to end: its socket does not keep another one out. */
  forgetInstance(worker: number): void {
    const connection = this.#connections.get(worker);
    if (connection) this.#update(connection, { instance: null });
  }

  /** The attachments of the sockets whose workers wait for a push. */
  *idle(): Generator<Readonly<Attachment>> {
    for (const { state } of this.#connections.values()) if (state.idle) yield state;
  }

  #update({ socket, state }: Connection, change: Partial<Attachment>): void {
    Object.assign(state, change);
    socket.serializeAttachment(state);
  }
}
