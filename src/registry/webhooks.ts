/**
 * Webhooks.
 *
 * - The deliveries that a report causes are written in the transaction of the report, so none is
 *   lost; the alarm sends them.
 * - A delivery is sent at least once. A receiver recognises a repetition by the delivery id.
 * - The address is checked at each delivery, because a setting may have changed, and an earlier release
 *   checked none. Redirects are not followed. Where a name leads is not seen here: `fetch` reaches public
 *   addresses only, on Cloudflare as in a local manager (`launcher/serve.ts`).
 */
import type { Env } from "../rpc/env.ts";
import { sign } from "../platform/signed-claims.ts";
import { signingKey } from "../platform/signing-key.ts";
import type { Webhook, WebhookBody, WebhookCreate } from "../protocol/webhook.ts";
import { whyRefusedTarget } from "../protocol/webhook-target.ts";
import { VERSION } from "../protocol/version.ts";
import type { TaskChange } from "./task-index.ts";
import { eventsBetween, holdUntilMs, nextTryMs, signatureOf } from "./webhook-rules.ts";
import { WebhookStore, type DueDelivery, type Hook, type Outcome } from "./webhook-store.ts";

/**
 * A receiver that takes longer counts as failed and is tried again; without a limit, one could hold
 * a slot for ever.
 */
const TIMEOUT_MS = 10_000;
/** Receivers that are sent to at once: a Worker may have six connections open. */
const AT_ONCE = 6;
/**
 * Deliveries that one receiver gets in a row, before the alarm is set again: with all receivers,
 * fewer than the 50 requests that a run may make on the free plan.
 */
const IN_A_ROW = 6;
/**
 * After an outcome could not be written down, nothing is sent for this long. Without it, a database
 * that refuses writes would have the same deliveries sent again without a pause.
 */
const PAUSE_MS = 60_000;

export class Webhooks {
  readonly store: WebhookStore;
  readonly #env: Env;
  readonly #allowedHosts: () => readonly string[];
  /** Read from rows when first needed; null: not read yet. */
  #hooks: Hook[] | null = null;
  /** When the next delivery of each hook is due; null: not read yet. */
  #due: ReadonlyMap<number, number> | null = null;
  /** Hooks to which something is being sent. */
  readonly #busy = new Set<number>();
  /** Hooks whose receiver failed, how often in a row, and until when it is left alone. Lost on eviction. */
  readonly #failing = new Map<number, { times: number; untilMs: number }>();
  #notBeforeMs = 0;

  /** `allowedHosts`: those that an admin has named (`webhook_hosts`). */
  constructor(sql: SqlStorage, env: Env, allowedHosts: () => readonly string[]) {
    this.store = new WebhookStore(sql);
    this.#env = env;
    this.#allowedHosts = allowedHosts;
  }

  /** A new webhook; its secret is in this answer and stored nowhere. */
  async create(create: WebhookCreate, nowMs: number): Promise<{ webhook: Webhook; secret: string }> {
    const salt = crypto.randomUUID();
    const webhook = this.store.create(create, salt, nowMs);
    this.#hooks = null;
    return { webhook, secret: await this.#secretOf({ id: webhook.id, salt }) };
  }

  /** False when there is no such webhook. */
  remove(id: number): boolean {
    const removed = this.store.remove(id);
    this.#hooks = null;
    this.#due = null;
    return removed;
  }

  /**
   * A task has reported: store the deliveries that are due for it. Call inside the transaction of
   * the report.
   */
  changed({ id, was, is, after }: TaskChange, nowMs: number): void {
    this.#hooks ??= this.store.hooks();
    if (this.#hooks.length === 0 || after === null) return;
    for (const event of eventsBetween(was, is)) {
      for (const hook of this.#hooks) {
        if (!hook.events.includes(event)) continue;
        const body = (delivery: number): string =>
          JSON.stringify({ id: delivery, event, at_ms: nowMs, task: is } satisfies WebhookBody);
        this.store.enqueue(hook.id, event, id, body, nowMs);
        this.#due = null;
      }
    }
  }

  /** Read the rows again when they are needed: they have been written elsewhere, or discarded. */
  forget(): void {
    this.#hooks = null;
    this.#due = null;
  }

  /** When to call `send`; null while no delivery waits, or all that wait are in flight. */
  get dueMs(): number | null {
    if (this.#busy.size >= AT_ONCE) return null;
    this.#due ??= this.store.dueByHook();
    let dueMs = Infinity;
    for (const [hook, atMs] of this.#due)
      if (!this.#busy.has(hook)) dueMs = Math.min(dueMs, Math.max(atMs, this.#heldUntilMs(hook)));
    return dueMs === Infinity ? null : Math.max(dueMs, this.#notBeforeMs);
  }

  /**
   * Send what is due: to each receiver one delivery after the other, to several receivers at a time.
   * A receiver that hangs holds up its own deliveries only. `free` is called when a receiver is
   * done, before the others are. Never throws. Do not await it in an event, because receivers may be
   * slow; set the alarm afterwards.
   */
  async send(nowMs: number, free: () => void = () => {}): Promise<void> {
    const dueMs = this.dueMs;
    if (dueMs === null || dueMs > nowMs) return;
    this.#hooks ??= this.store.hooks();
    const hooks = new Map(this.#hooks.map((hook) => [hook.id, hook]));
    const ready = [...(this.#due ?? [])]
      .filter(([id, atMs]) => !this.#busy.has(id) && Math.max(atMs, this.#heldUntilMs(id)) <= nowMs)
      .toSorted(([, a], [, b]) => a - b)
      .slice(0, AT_ONCE - this.#busy.size);
    await Promise.all(
      ready.map(async ([id]) => {
        this.#busy.add(id);
        try {
          await this.#sendAll(id, hooks.get(id), nowMs);
        } catch (error) {
          console.error("webhooks could not be sent", error);
          this.#notBeforeMs = Date.now() + PAUSE_MS;
        } finally {
          this.#busy.delete(id);
          this.#due = null;
          free();
        }
      }),
    );
  }

  #heldUntilMs(hook: number): number {
    return this.#failing.get(hook)?.untilMs ?? 0;
  }

  /** Send the deliveries of one hook that are due, until one fails. */
  async #sendAll(id: number, hook: Hook | undefined, nowMs: number): Promise<void> {
    for (let sent = 0; sent < IN_A_ROW; sent++) {
      const delivery = this.store.firstDue(id, nowMs);
      if (delivery === undefined || !(await this.#try(delivery, hook))) return;
    }
  }

  /** Whether the receiver took it. */
  async #try(delivery: DueDelivery, hook: Hook | undefined): Promise<boolean> {
    const outcome = hook ? await this.#post(delivery, hook) : { ok: false, status: null, error: "the hook is gone" };
    const nowMs = Date.now();
    const nextMs = outcome.ok ? null : nextTryMs(delivery.tries + 1, nowMs);
    const status: Outcome["status"] = outcome.ok ? "delivered" : nextMs === null ? "failed" : "waiting";
    if (outcome.ok) this.#failing.delete(delivery.webhook);
    else {
      const times = (this.#failing.get(delivery.webhook)?.times ?? 0) + 1;
      this.#failing.set(delivery.webhook, { times, untilMs: holdUntilMs(times, nowMs) });
    }
    this.store.recordTry(delivery.id, { status, nextMs, responseStatus: outcome.status, error: outcome.error }, nowMs);
    return outcome.ok;
  }

  async #post(
    { id, event, body }: DueDelivery,
    hook: Hook,
  ): Promise<{ ok: boolean; status: number | null; error: string | null }> {
    const allowed = this.#allowedHosts();
    const refused = whyRefusedTarget(hook.url, allowed);
    if (refused !== undefined) return { ok: false, status: null, error: `nothing was sent: the address ${refused}` };
    const isNamed = allowed.includes(new URL(hook.url).hostname);
    const { PUBLIC_NETWORK: network } = this.#env;
    try {
      const response = await (isNamed || !network ? fetch : network.fetch.bind(network))(hook.url, {
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

  /** Derived from the salt with the manager's signing key, so that it is stored nowhere. */
  async #secretOf({ id, salt }: Pick<Hook, "id" | "salt">): Promise<string> {
    const signed = await sign(await signingKey(this.#env), "webhook", { id, salt });
    return `tablao_hook_${signed.slice(signed.indexOf(".") + 1)}`;
  }
}
