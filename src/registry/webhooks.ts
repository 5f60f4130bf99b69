/**
 * Webhooks at work. What a report makes due is written in the transaction of the report, so that none is forgotten; the alarm
 * sends it. At least once: a receiver knows a repetition by its delivery id. On Cloudflare `fetch` reaches public addresses only, so
 * a hook is no way into anybody's network.
 */
import type { Env } from "../rpc/env.ts";
import { sign, signingKey } from "../platform/signing.ts";
import type { Webhook, WebhookBody, WebhookCreate } from "../protocol/webhook.ts";
import { VERSION } from "../protocol/version.ts";
import type { TaskChange } from "./task-store.ts";
import { eventsBetween, nextTryMs, signatureOf } from "./webhook-rules.ts";
import { WebhookStore, type DueDelivery, type Hook, type Outcome } from "./webhook-store.ts";

/** A receiver that takes longer is tried again. */
const TIMEOUT_MS = 10_000;
/** Deliveries under way at once; the rest waits for the next ring. */
const AT_ONCE = 6;

export class Webhooks {
  readonly store: WebhookStore;
  readonly #env: Env;
  /** Null: not read yet. */
  #hooks: Hook[] | null = null;
  /** When the next delivery is due; undefined: not read yet. */
  #dueMs: number | null | undefined;
  #sending = false;

  constructor(sql: SqlStorage, env: Env) {
    this.store = new WebhookStore(sql);
    this.#env = env;
  }

  async create(create: WebhookCreate, nowMs: number): Promise<{ webhook: Webhook; secret: string }> {
    const salt = crypto.randomUUID();
    const webhook = this.store.create(create, salt, nowMs);
    this.#hooks = null;
    return { webhook, secret: await this.#secretOf({ id: webhook.id, salt }) };
  }

  remove(id: number): boolean {
    const removed = this.store.remove(id);
    this.#hooks = null;
    this.#dueMs = undefined;
    return removed;
  }

  /** A task has reported; inside its transaction. */
  changed({ id, was, is, after }: TaskChange, nowMs: number): void {
    this.#hooks ??= this.store.hooks();
    if (this.#hooks.length === 0 || after === null) return;
    for (const event of eventsBetween(was, is)) {
      for (const hook of this.#hooks) {
        if (!hook.events.includes(event)) continue;
        const body = (delivery: number): string =>
          JSON.stringify({ id: delivery, event, at_ms: nowMs, task: is } satisfies WebhookBody);
        this.store.owe(hook.id, event, id, body, nowMs);
        this.#dueMs = undefined;
      }
    }
  }

  /** When to call `send`; null while nothing waits or is under way. */
  get dueMs(): number | null {
    if (this.#sending) return null;
    return (this.#dueMs = this.#dueMs === undefined ? this.store.dueMs() : this.#dueMs);
  }

  /** Send what is due. Never throws; call it without waiting, for receivers may be slow, and see to the alarm afterwards. */
  async send(nowMs: number): Promise<void> {
    const dueMs = this.dueMs;
    if (dueMs === null || dueMs > nowMs) return;
    this.#sending = true;
    try {
      this.#hooks ??= this.store.hooks();
      const hooks = new Map(this.#hooks.map((hook) => [hook.id, hook]));
      await Promise.all(
        this.store.due(nowMs, AT_ONCE).map((delivery) => this.#try(delivery, hooks.get(delivery.webhook))),
      );
    } catch (error) {
      console.error("webhooks could not be sent", error);
    } finally {
      this.#sending = false;
      this.#dueMs = undefined;
    }
  }

  async #try(delivery: DueDelivery, hook: Hook | undefined): Promise<void> {
    const outcome = hook ? await this.#post(delivery, hook) : { ok: false, status: null, error: "the hook is gone" };
    const nowMs = Date.now();
    const nextMs = outcome.ok ? null : nextTryMs(delivery.tries + 1, nowMs);
    const status: Outcome["status"] = outcome.ok ? "delivered" : nextMs === null ? "failed" : "waiting";
    this.store.tried(delivery.id, { status, nextMs, responseStatus: outcome.status, error: outcome.error }, nowMs);
  }

  async #post(
    { id, event, body }: DueDelivery,
    hook: Hook,
  ): Promise<{ ok: boolean; status: number | null; error: string | null }> {
    try {
      const response = await fetch(hook.url, {
        method: "POST",
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          "Content-Type": "application/json",
          "User-Agent": `tablao/${VERSION}`,
          "Tablao-Event": event,
          "Tablao-Delivery": String(id),
          "Tablao-Signature": await signatureOf(await this.#secretOf(hook), body, Date.now()),
        },
      });
      await response.body?.cancel();
      const { ok, status } = response;
      return { ok, status, error: ok ? null : `the receiver answered ${status}` };
    } catch (error) {
      const timedOut = error instanceof Error && error.name === "TimeoutError";
      return {
        ok: false,
        status: null,
        error: timedOut ? "no answer within 10 s" : "the receiver could not be reached",
      };
    }
  }

  /** Made from the salt with the manager's key, and stored nowhere. */
  async #secretOf({ id, salt }: Pick<Hook, "id" | "salt">): Promise<string> {
    const signed = await sign(await signingKey(this.#env), "webhook", { id, salt });
    return `tablao_hook_${signed.slice(signed.indexOf(".") + 1)}`;
  }
}
