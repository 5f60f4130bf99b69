/** Tokens of people: what each person may do, and until when. */
import { useSignal } from "@preact/signals";
import type { TokenCreated, TokenList } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { useList } from "../lib/use-list.ts";
import { AdminTable } from "../parts/admin-table.tsx";
import { CopyBox } from "../parts/controls.tsx";
import { SelectField, TextField } from "../parts/fields.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { hasEnded, TokenRows } from "./token-rows.tsx";

const ROLES = ["artist", "viewer", "admin"] as const;

export function ManageTokens() {
  const t = text.manage;
  const list = useList<TokenList>("/tokens");
  const role = useSignal<string>("artist");
  const name = useSignal("");
  const expires = useSignal("");
  const withEnded = useSignal(false);
  const made = useSignal<TokenCreated | null>(null);
  const make = (): void =>
    void attempt(async () => {
      const body = {
        role: role.value,
        name: name.value,
        ...(expires.value !== "" && { expires_s: Number(expires.value) }),
      };
      made.value = await call<TokenCreated>("POST", "/tokens", { body });
      name.value = "";
      list.reload();
    });
  const shown = (list.value?.tokens ?? []).filter(
    (token) => token.role !== "join" && (withEnded.value || !hasEnded(token, managerNow.value)),
  );
  return (
    <AdminTable
      list={list}
      items={shown}
      rows={(tokens) => <TokenRows tokens={tokens} onChange={list.reload} />}
      none={t.noTokens}
      listHead={
        <div class="list-head">
          <h2>{t.tokens}</h2>
          <label class="check small">
            <input
              type="checkbox"
              checked={withEnded.value}
              onChange={(event) => (withEnded.value = event.currentTarget.checked)}
            />
            {t.showEnded}
          </label>
        </div>
      }
      formFirst
      form={{
        title: t.newToken,
        action: text.create,
        onSubmit: make,
        fields: (
          <div class="fields">
            <TextField label={t.tokenName} value={name} required maxLength={100} />
            <SelectField label={t.role} value={role} choices={ROLES.map((value) => [value, t.roles[value]])} />
            <SelectField
              label={t.expires}
              value={expires}
              choices={[["", t.noExpiry], ...Object.entries(t.expiryChoices)]}
            />
          </div>
        ),
        made: made.value && (
          <div class="stack close">
            <CopyBox value={made.value.token} label={`${t.secret}: ${made.value.name}`} />
            <p class="quiet small">{t.secretOnce}</p>
          </div>
        ),
      }}
    />
  );
}
