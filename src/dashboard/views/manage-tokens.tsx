/** Tokens of people: who may do what, until when. */
import { useSignal } from "@preact/signals";
import type { TokenCreated, TokenList } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { useList } from "../lib/use-list.ts";
import { CopyBox, Field } from "../parts/controls.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { hasEnded, TokenRows } from "./token-rows.tsx";
import "./history.css";

const ROLES = ["artist", "viewer", "admin"] as const;

export function ManageTokens() {
  const t = text.manage;
  const list = useList<TokenList>("/tokens");
  const role = useSignal<string>("artist");
  const name = useSignal("");
  const expires = useSignal("");
  const old = useSignal(false);
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
    (token) => token.role !== "join" && (old.value || !hasEnded(token, managerNow.value)),
  );
  return (
    <div class="stack">
      <form
        class="manage-form"
        onSubmit={(event) => {
          event.preventDefault();
          make();
        }}
      >
        <h2>{t.newToken}</h2>
        <div class="fields">
          <Field label={t.tokenName}>
            {(attributes) => (
              <input
                {...attributes}
                class="input"
                required
                maxLength={100}
                value={name.value}
                onInput={(event) => (name.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={t.role}>
            {(attributes) => (
              <select
                {...attributes}
                class="input"
                value={role.value}
                onChange={(event) => (role.value = event.currentTarget.value)}
              >
                {ROLES.map((value) => (
                  <option key={value} value={value}>
                    {t.roles[value]}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label={t.expires}>
            {(attributes) => (
              <select
                {...attributes}
                class="input"
                value={expires.value}
                onChange={(event) => (expires.value = event.currentTarget.value)}
              >
                <option value="">{t.noExpiry}</option>
                {Object.entries(t.expiryChoices).map(([value, words]) => (
                  <option key={value} value={value}>
                    {words}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </div>
        <div class="actions">
          <button type="submit" class="button main">
            {text.create}
          </button>
        </div>
        {made.value && (
          <div class="stack close">
            <CopyBox value={made.value.token} label={`${t.secret}: ${made.value.name}`} />
            <p class="quiet small">{t.secretOnce}</p>
          </div>
        )}
      </form>
      {list.wrong !== null && <p class="note bad-note">{list.wrong}</p>}
      <div class="stack close">
        <div class="list-head">
          <h2>{t.tokens}</h2>
          <label class="check small">
            <input
              type="checkbox"
              checked={old.value}
              onChange={(event) => (old.value = event.currentTarget.checked)}
            />
            {t.showOld}
          </label>
        </div>
        {list.value !== null &&
          (shown.length === 0 ? (
            <p class="quiet">{t.noTokens}</p>
          ) : (
            <TokenRows tokens={shown} onChange={list.reload} />
          ))}
      </div>
    </div>
  );
}
