/** Rows of webhooks and of their deliveries. */
import { all, first, run } from "../platform/sql.ts";
import type { Delivery, Webhook, WebhookCreate, WebhookEvent } from "../protocol/webhook.ts";
import { NEXT_VALUE } from "./schema.ts";

/**
 * Deliveries kept of each webhook, the newest: people read them to find out why a receiver hears
 * nothing.
 */
const KEPT = 100;

type HookRow = { id: number; url: string; events: string; salt: string; created_ms: number };

export interface Hook {
  id: number;
  url: string;
  events: WebhookEvent[];
  salt: string;
  created_ms: number;
}

/** A delivery that is due, with what is needed to send it. */
export interface DueDelivery {
  id: number;
  webhook: number;
  event: WebhookEvent;
  body: string;
  tries: number;
}

/** The outcome of one try. */
export interface Outcome {
  status: Delivery["status"];
  nextMs: number | null;
  responseStatus: number | null;
  error: string | null;
}

export class WebhookStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  create({ url, events }: WebhookCreate, salt: string, nowMs: number): Webhook {
    const id = first<{ value: number }>(this.#sql, NEXT_VALUE, "webhook")!.value;
    const unique = [...new Set(events)];
    run(
      this.#sql,
      "INSERT INTO webhooks (id, url, events, salt, created_ms) VALUES (?, ?, ?, ?, ?)",
      id,
      url,
      JSON.stringify(unique),
      salt,
      nowMs,
    );
    return { id, url, events: unique, created_ms: nowMs, last_status: null, last_ms: null };
  }

  hooks(): Hook[] {
    return all<HookRow>(this.#sql, "SELECT id, url, events, salt, created_ms FROM webhooks ORDER BY id").map((row) => ({
      ...row,
      events: JSON.parse(row.events) as WebhookEvent[],
    }));
  }

  list(): Webhook[] {
    return this.hooks().map(({ salt: _salt, ...hook }) => {
      const [last] = this.deliveries(hook.id, 1);
      return {
        ...hook,
        last_status: last?.status ?? null,
        last_ms: last ? (last.last_try_ms ?? last.created_ms) : null,
      };
    });
  }

  /** Delete a webhook and its deliveries. False when there is no such webhook. */
  remove(id: number): boolean {
    run(this.#sql, "DELETE FROM deliveries WHERE webhook = ?", id);
    return run(this.#sql, "DELETE FROM webhooks WHERE id = ?", id) > 0;
  }

  deliveries(webhook: number, limit = KEPT): Delivery[] {
    return all<Delivery & Record<string, SqlStorageValue>>(
      this.#sql,
      `SELECT id, event, task_id, status, tries, created_ms, last_try_ms, next_ms, response_status, error
       FROM deliveries WHERE webhook = ? ORDER BY id DESC LIMIT ?`,
      webhook,
      limit,
    );
  }

  /**
   * Store a delivery that is due now. `body` makes its body from its id. Old deliveries that are
   * settled are deleted.
   */
  enqueue(webhook: number, event: WebhookEvent, taskId: number, body: (id: number) => string, nowMs: number): void {
    const id = first<{ value: number }>(this.#sql, NEXT_VALUE, "delivery")!.value;
    run(
      this.#sql,
      `INSERT INTO deliveries (id, webhook, event, task_id, body, status, created_ms, next_ms)
       VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?)`,
      id,
      webhook,
      event,
      taskId,
      body(id),
      nowMs,
      nowMs,
    );
    run(
      this.#sql,
      `DELETE FROM deliveries WHERE webhook = ? AND next_ms IS NULL AND id <
         (SELECT min(id) FROM (SELECT id FROM deliveries WHERE webhook = ? ORDER BY id DESC LIMIT ?))`,
      webhook,
      webhook,
      KEPT,
    );
  }

  /** When the next delivery of each webhook is due, of those that have one waiting. */
  dueByHook(): Map<number, number> {
    const rows = all<{ webhook: number; at: number }>(
      this.#sql,
      "SELECT webhook, min(next_ms) AS at FROM deliveries WHERE next_ms IS NOT NULL GROUP BY webhook",
    );
    return new Map(rows.map(({ webhook, at }) => [webhook, at]));
  }

  /** The delivery of this webhook that is overdue for longest; undefined when none is due. */
  firstDue(webhook: number, nowMs: number): DueDelivery | undefined {
    return first<DueDelivery & Record<string, SqlStorageValue>>(
      this.#sql,
      `SELECT id, webhook, event, body, tries FROM deliveries
       WHERE webhook = ? AND next_ms <= ? ORDER BY next_ms, id LIMIT 1`,
      webhook,
      nowMs,
    );
  }

  /** Note the outcome of a try. */
  recordTry(id: number, { status, nextMs, responseStatus, error }: Outcome, nowMs: number): void {
    run(
      this.#sql,
      `UPDATE deliveries SET status = ?, tries = tries + 1, last_try_ms = ?, next_ms = ?, response_status = ?, error = ?
       WHERE id = ?`,
      status,
      nowMs,
      nextMs,
      responseStatus,
      error,
      id,
    );
  }
}
