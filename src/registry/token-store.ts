/** Rows of tokens. Of a secret, only the SHA-256 is stored (P9). */
import { messageOf } from "../lib/errors.ts";
import { ok, type Result } from "../lib/result.ts";
import { all, first, run } from "../platform/sql.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import type { Principal, Token, TokenCreate } from "../protocol/token.ts";
import { SECRET_MARK_CHARS } from "../rpc/registry.ts";
import { NEXT_VALUE } from "./schema.ts";
import { expiryOf, principalOf, shouldNoteUse, whyDead } from "./tokens.ts";

type TokenRow = {
  id: number;
  role: string;
  name: string;
  tags: string;
  created_ms: number;
  expires_ms: number | null;
  uses_left: number | null;
  last_used_ms: number | null;
  revoked: number;
};

const COLUMNS = "id, role, name, tags, created_ms, expires_ms, uses_left, last_used_ms, revoked";

function tokenOf(row: TokenRow): Token {
  return {
    ...row,
    role: row.role as Token["role"],
    tags: JSON.parse(row.tags) as string[],
    revoked: row.revoked === 1,
  };
}

export class TokenStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  create(create: TokenCreate, secretSha256: string, nowMs: number): Token {
    const id = first<{ value: number }>(this.#sql, NEXT_VALUE, "token")!.value;
    const row = first<TokenRow>(
      this.#sql,
      `INSERT INTO tokens (id, secret_sha256, role, name, tags, created_ms, expires_ms, uses_left)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING ${COLUMNS}`,
      id,
      secretSha256,
      create.role,
      create.name,
      JSON.stringify(create.tags),
      nowMs,
      expiryOf(create, nowMs),
      create.uses ?? null,
    );
    return tokenOf(row!);
  }

  bySecret(secretSha256: string): Token | undefined {
    const row = first<TokenRow>(this.#sql, `SELECT ${COLUMNS} FROM tokens WHERE secret_sha256 = ?`, secretSha256);
    return row && tokenOf(row);
  }

  /** As `RegistryRpc.secretMarks` says; those of workers are among them. */
  secretMarks(): string {
    const mark = `substr(secret_sha256, 1, ${SECRET_MARK_CHARS}) AS mark`;
    const rows = all<{ mark: string }>(
      this.#sql,
      `SELECT ${mark} FROM tokens WHERE revoked = 0 UNION ALL SELECT ${mark} FROM workers`,
    );
    return rows.map(({ mark }) => mark).join("");
  }

  byId(id: number): Token | undefined {
    const row = first<TokenRow>(this.#sql, `SELECT ${COLUMNS} FROM tokens WHERE id = ?`, id);
    return row && tokenOf(row);
  }

  /** The principal of this token; null when it gives no access. Notes the use. */
  holderOf(id: number, nowMs: number): Principal | null {
    const token = this.byId(id);
    return token ? this.#holder(token, nowMs) : null;
  }

  /** The same by the secret's SHA-256; undefined when no token has it. */
  holderOfSecret(secretSha256: string, nowMs: number): Principal | null | undefined {
    const token = this.bySecret(secretSha256);
    return token && this.#holder(token, nowMs);
  }

  #holder(token: Token, nowMs: number): Principal | null {
    if (whyDead(token, nowMs) !== null) return null;
    this.noteUse(token, nowMs);
    return principalOf(token);
  }

  /** Those of these tokens that give access. Notes the use. */
  living(ids: readonly number[], nowMs: number): number[] {
    return ids.filter((id) => this.holderOf(id, nowMs) !== null);
  }

  list(): Token[] {
    return all<TokenRow>(this.#sql, `SELECT ${COLUMNS} FROM tokens ORDER BY id`).map(tokenOf);
  }

  /**
   * Write down the use of a token, at most once a minute. Does not throw: a storage that refuses
   * writes must not lock out who only wants to read.
   */
  noteUse(token: Token, nowMs: number): void {
    if (!shouldNoteUse(token.last_used_ms, nowMs)) return;
    try {
      run(this.#sql, "UPDATE tokens SET last_used_ms = ? WHERE id = ?", nowMs, token.id);
    } catch (error) {
      console.warn(`the use of token ${token.id} could not be noted: ${messageOf(error)}`);
    }
  }

  /**
   * Take one use of a join token; answers its tags. Call inside the transaction that registers the
   * worker.
   */
  takeUse(id: number, nowMs: number): Result<string[], Refusal> {
    const token = this.byId(id);
    const dead = token ? whyDead(token, nowMs) : "there is no such token";
    if (dead !== null) return refuse("unauthorized", dead);
    run(this.#sql, "UPDATE tokens SET uses_left = uses_left - 1, last_used_ms = ? WHERE id = ?", nowMs, id);
    return ok(token!.tags);
  }

  /** Revoke a token. Idempotent; undefined when there is no such token. */
  revoke(id: number): Token | undefined {
    run(this.#sql, "UPDATE tokens SET revoked = 1 WHERE id = ? AND revoked = 0", id);
    return this.byId(id);
  }
}
