/** Rows of settings: name → JSON of the value. */
import { ok, type Result } from "../lib/result.ts";
import { all, first, run } from "../platform/sql.ts";
import type { Refusal } from "../protocol/problem.ts";
import { checkPreset } from "../compilers/presets.ts";
import { PRESET_PREFIX } from "../protocol/constants.ts";
import { isRetentionDays, isStricter, FOREVER, RETENTION_SETTINGS, type FarmRetention } from "../protocol/retention.ts";
import { checkSetting, DEFAULTS, UNSEEN_WORKERS, unseenWorkersDaysOf } from "../protocol/setting-rules.ts";
import type { UnseenRule } from "./unseen-workers.ts";
import { areWebhookHosts, WEBHOOK_HOSTS } from "../protocol/webhook-target.ts";

/**
 * The counter that holds when the rule of retention was last set or shortened. It is no setting: a
 * person who could write it could take the day away in which a mistake can be mended.
 */
const RETENTION_FROM = "retention_from_ms";

/** The counter that holds since when the rule of unseen workers holds, for the same reason. */
const UNSEEN_FROM = "unseen_workers_from_ms";

export class SettingStore {
  readonly #sql: SqlStorage;
  /** The rule of retention as the rows have it; null while it is to be read. Every list needs it. */
  #retention: FarmRetention | null = null;
  /** The same of the rule of unseen workers. */
  #unseen: UnseenRule | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** All settings by name, with the defaults of known names that are not set. */
  list(): Record<string, unknown> {
    const rows = all<{ name: string; value: string }>(this.#sql, "SELECT name, value FROM settings ORDER BY name");
    return { ...DEFAULTS, ...Object.fromEntries(rows.map((row) => [row.name, JSON.parse(row.value) as unknown])) };
  }

  /** The names of the render presets, without their prefix. */
  presets(): string[] {
    const rows = all<{ name: string }>(
      this.#sql,
      // '/' is the character after '.': so this reads a range of the primary key instead of all
      // rows.
      "SELECT name FROM settings WHERE name > 'render.' AND name < 'render/' ORDER BY name",
    );
    return rows.map((row) => row.name.slice(PRESET_PREFIX.length));
  }

  /**
   * The setting, else the preset of that name, else the default of a known name; undefined when
   * there is none.
   */
  get(name: string): unknown {
    for (const key of [name, PRESET_PREFIX + name]) {
      const row = first<{ value: string }>(this.#sql, "SELECT value FROM settings WHERE name = ?", key);
      if (row) return JSON.parse(row.value) as unknown;
    }
    return Object.hasOwn(DEFAULTS, name) ? DEFAULTS[name] : undefined;
  }

  /**
   * Write all values, or none when one breaks a rule (`invalid`, with every field that does). Null
   * deletes a setting. Call inside a transaction.
   */
  update(values: Record<string, unknown>, nowMs: number): Result<null, Refusal> {
    const entries = Object.entries(values);
    const errors = entries.flatMap(([name, value]) => checkSetting(name, value, checkPreset));
    const worst = errors[0];
    if (worst) return { ok: false, error: { code: "invalid", detail: `${worst.field}: ${worst.message}`, errors } };
    const before = this.retention();
    this.forget();
    for (const [name, value] of entries) {
      if (value === null) run(this.#sql, "DELETE FROM settings WHERE name = ?", name);
      else run(this.#sql, "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, JSON.stringify(value));
    }
    if (isStricter(before, this.retention())) this.#noteRetention(nowMs);
    if (Object.hasOwn(values, UNSEEN_WORKERS)) this.#note(UNSEEN_FROM, nowMs);
    return ok(null);
  }

  /** The hosts that webhooks may point to although they are private. A stored value that breaks its rule allows none. */
  webhookHosts(): readonly string[] {
    const value = this.get(WEBHOOK_HOSTS);
    return areWebhookHosts(value) ? value : [];
  }

  /** The farm's rule of retention. A stored value that breaks its rule deletes nothing. */
  retention(): FarmRetention {
    if (this.#retention) return this.#retention;
    const [days, afterDownload] = RETENTION_SETTINGS.map((name) => this.get(name)).map((value) =>
      isRetentionDays(value) ? value : FOREVER,
    );
    return (this.#retention = {
      retention_days: days!,
      retention_after_download_days: afterDownload!,
      from_ms: this.#counter(RETENTION_FROM),
    });
  }

  /** The rule of unseen workers. It holds since `holdUnseen` or a change of the setting. */
  unseenWorkers(): UnseenRule {
    return (this.#unseen ??= {
      days: unseenWorkersDaysOf(this.get(UNSEEN_WORKERS)),
      fromMs: this.#counter(UNSEEN_FROM),
    });
  }

  /** The rule of unseen workers holds from now on, where it did not yet. */
  holdUnseen(nowMs: number): void {
    if (this.unseenWorkers().fromMs === null) this.#note(UNSEEN_FROM, nowMs);
  }

  /**
   * The rows were restored from a backup: its rule counts from now on, so that a task that was brought
   * back on purpose does not go in the first night. Call inside a transaction.
   */
  restored(nowMs: number): void {
    this.forget();
    const { retention_days, retention_after_download_days } = this.retention();
    if (retention_days !== FOREVER || retention_after_download_days !== FOREVER) this.#noteRetention(nowMs);
    this.#note(UNSEEN_FROM, nowMs);
  }

  #noteRetention(nowMs: number): void {
    this.#note(RETENTION_FROM, nowMs);
  }

  #note(counter: string, nowMs: number): void {
    run(this.#sql, "INSERT OR REPLACE INTO counters (name, value) VALUES (?, ?)", counter, nowMs);
    this.forget();
  }

  #counter(name: string): number | null {
    return first<{ value: number }>(this.#sql, "SELECT value FROM counters WHERE name = ?", name)?.value ?? null;
  }

  /** Discard what was read from rows. */
  forget(): void {
    this.#retention = null;
    this.#unseen = null;
  }
}
