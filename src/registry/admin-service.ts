/** Tokens, settings and webhooks: what people administer. Dispatch never looks at any of it. */
import { ok, type Result } from "../lib/result.ts";
import { newSecret, sha256Hex } from "../platform/secrets.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Token, TokenCreate } from "../protocol/token.ts";
import type { Delivery, WebhookCreate, WebhookCreated } from "../protocol/webhook.ts";
import type { RegistryContext } from "./context.ts";

const NO_TOKEN = refuse("not_found", "there is no such token");
const NO_WEBHOOK = refuse("not_found", "there is no such webhook");

export class AdminService {
  readonly #registry: RegistryContext;

  constructor(registry: RegistryContext) {
    this.#registry = registry;
  }

  /** The secret is in this answer and stored nowhere (P9). */
  async createToken(create: TokenCreate): Promise<{ token: Token; secret: string }> {
    const secret = newSecret(create.role);
    const sha256 = await sha256Hex(secret);
    return { token: this.#registry.tokens.create(create, sha256, Date.now()), secret };
  }

  /** Idempotent. */
  revokeToken(id: number): Result<Token, Refusal> {
    const token = this.#registry.tokens.revoke(id);
    return token ? ok(token) : NO_TOKEN;
  }

  getSetting(name: string): Result<unknown, Refusal> {
    const value = this.#registry.settings.get(name);
    return value === undefined ? refuse("not_found", `there is no setting '${name}'`) : ok(value);
  }

  /** Writes all values or none. */
  setSettings(values: Record<string, unknown>): Result<null, Refusal> {
    const before = this.#registry.settings.retention();
    const written = this.#registry.inTransaction(() => this.#registry.settings.update(values, Date.now()));
    // Every task that has ended may expire at another instant now.
    if (written.ok && this.#registry.settings.retention() !== before) this.#registry.farmLive.feed.reset();
    return written;
  }

  async createWebhook(create: WebhookCreate): Promise<WebhookCreated> {
    const { webhook, secret } = await this.#registry.webhooks.create(create, Date.now());
    return { ...webhook, secret };
  }

  removeWebhook(id: number): Result<null, Refusal> {
    return this.#registry.webhooks.remove(id) ? ok(null) : NO_WEBHOOK;
  }

  /** The newest deliveries of a webhook. */
  listDeliveries(id: number): Result<Delivery[], Refusal> {
    const { store } = this.#registry.webhooks;
    const known = store.hooks().some((hook) => hook.id === id);
    return known ? ok(store.deliveries(id)) : NO_WEBHOOK;
  }
}
