/** What people keep in the registry, beside the farm: tokens, settings, webhooks and backups. The part of its object that dispatch never looks at. */
import { BackedUpObject } from "../platform/backed-up.ts";
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import { newSecret, sha256Hex } from "../platform/signing.ts";
import { migrate } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";
import type { Delivery, Webhook, WebhookCreate, WebhookCreated } from "../protocol/webhook.ts";
import { beginRestore, DERIVED_TABLES, isRestoring } from "./backup.ts";
import { REGISTRY_SCHEMA } from "./schema.ts";
import { SettingStore } from "./setting-store.ts";
import { TokenStore } from "./token-store.ts";
import { Webhooks } from "./webhooks.ts";

const NO_WEBHOOK = refuse("not_found", "there is no such webhook");

export abstract class RegistryDesk extends BackedUpObject<Env> {
  protected readonly notBackedUp = DERIVED_TABLES;
  protected readonly tokens: TokenStore;
  protected readonly settings: SettingStore;
  protected readonly webhooks: Webhooks;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, REGISTRY_SCHEMA);
    this.tokens = new TokenStore(ctx.storage.sql);
    this.settings = new SettingStore(ctx.storage.sql);
    this.webhooks = new Webhooks(ctx.storage.sql, env);
  }

  /** Forget what was read from rows; it is read again when it is needed. */
  protected abstract forget(): void;

  /** One transaction. What throws changes no row, and may have changed half of what is in memory. */
  protected whole<T>(work: () => T): T {
    try {
      return this.ctx.storage.transactionSync(work);
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  async principalOfToken(id: number): Promise<Principal | null> {
    return this.tokens.holderOf(id, Date.now());
  }

  async livingTokens(ids: number[]): Promise<number[]> {
    return this.tokens.living(ids, Date.now());
  }

  async createToken(create: TokenCreate): Promise<{ token: Token; secret: string }> {
    const secret = newSecret(create.role);
    const sha256 = await sha256Hex(secret);
    return { token: this.tokens.create(create, sha256, Date.now()), secret };
  }

  async listTokens(): Promise<Token[]> {
    return this.tokens.list();
  }

  async revokeToken(id: number): Promise<Result<Token, Refusal>> {
    const token = this.tokens.revoke(id);
    return token ? ok(token) : refuse("not_found", "there is no such token");
  }

  async listSettings(): Promise<Record<string, unknown>> {
    return this.settings.list();
  }

  async listPresets(): Promise<string[]> {
    return this.settings.presets();
  }

  async getSetting(name: string): Promise<Result<unknown, Refusal>> {
    const value = this.settings.get(name);
    return value === undefined ? refuse("not_found", `there is no setting '${name}'`) : ok(value);
  }

  async setSettings(values: Record<string, unknown>): Promise<Result<null, Refusal>> {
    return this.whole(() => this.settings.update(values));
  }

  async createWebhook(create: WebhookCreate): Promise<WebhookCreated> {
    const { webhook, secret } = await this.webhooks.create(create, Date.now());
    return { ...webhook, secret };
  }

  async listWebhooks(): Promise<Webhook[]> {
    return this.webhooks.store.list();
  }

  async removeWebhook(id: number): Promise<Result<null, Refusal>> {
    return this.webhooks.remove(id) ? ok(null) : NO_WEBHOOK;
  }

  async listDeliveries(id: number): Promise<Result<Delivery[], Refusal>> {
    const known = this.webhooks.store.hooks().some((hook) => hook.id === id);
    return known ? ok(this.webhooks.store.deliveries(id)) : NO_WEBHOOK;
  }

  protected backupVersion = (): number => 0;
  protected takesRows = (): boolean => true;

  async beginRestore(backup: string): Promise<Result<null, Refusal>> {
    return beginRestore(this.ctx.storage, backup);
  }

  async isRestoring(backup: string): Promise<Result<null, Refusal>> {
    return isRestoring(this.ctx.storage, backup);
  }
}
