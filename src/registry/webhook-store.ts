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

  /** When the next delivery is due; null when none waits. */
  dueMs(): number | null {
    return first<{ at: number | null }>(
      this.#sql,
      "SELECT min(next_ms) AS at FROM deliveries WHERE next_ms IS NOT NULL",
    )!.at;
  }

  /**
   * Deliveries that are due: the longest overdue of each webhook, then the second of each, and so on.
   * A receiver that is down must not hold back the deliveries of others (P13).
   */
  due(nowMs: number, limit: number): DueDelivery[] {
    return all<DueDelivery & Record<string, SqlStorageValue>>(
      this.#sql,
      `SELECT id, webhook, event, body, tries
       FROM (SELECT *, row_number() OVER (PARTITION BY webhook ORDER BY next_ms, id) AS place
             FROM deliveries WHERE next_ms <= ?)
       ORDER BY place, next_ms LIMIT ?`,
      nowMs,
      limit,
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
