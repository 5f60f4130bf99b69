/** Join tokens: how machines become workers. */
import { useSignal } from "@preact/signals";
import type { TokenCreated, TokenList } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { useList } from "../lib/use-list.ts";
import { CopyBox, Field, joinCommandOf } from "../parts/controls.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { hasEnded, TokenRows } from "./token-rows.tsx";
import "./history.css";

export function ManageWorkers() {
  const t = text.manage;
  const list = useList<TokenList>("/tokens");
  const expires = useSignal("86400");
  const uses = useSignal("");
  const tags = useSignal("");
  const made = useSignal<TokenCreated | null>(null);
  const make = (): void =>
    void attempt(async () => {
      const body = {
        role: "join",
        name: text.join.tokenName,
        expires_s: Number(expires.value),
        ...(uses.value !== "" && { uses: Number(uses.value) }),
        tags: tags.value.split(/[\s,]+/).filter(Boolean),
      };
      made.value = await call<TokenCreated>("POST", "/tokens", { body });
      list.reload();
    });
  const joins = (list.value?.tokens ?? []).filter(
    (token) => token.role === "join" && !hasEnded(token, managerNow.value),
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
        <h2>{t.joinTitle}</h2>
        <p class="quiet">{t.joinLead}</p>
        <div class="fields">
          <Field label={t.expires}>
            {(attributes) => (
              <select
                {...attributes}
                class="input"
                value={expires.value}
                onChange={(event) => (expires.value = event.currentTarget.value)}
              >
                {Object.entries(t.expiryChoices).map(([value, words]) => (
                  <option key={value} value={value}>
                    {words}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label={t.uses} hint={t.usesHint}>
            {(attributes) => (
              <input
                {...attributes}
                class="input"
                type="number"
                min={1}
                value={uses.value}
                onInput={(event) => (uses.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={t.tags} hint={text.worker.tagsHint}>
            {(attributes) => (
              <input
                {...attributes}
                class="input"
                value={tags.value}
                onInput={(event) => (tags.value = event.currentTarget.value)}
              />
            )}
          </Field>
        </div>
        <div class="actions">
          <button type="submit" class="button main">
            {text.join.make}
          </button>
        </div>
        {made.value && (
          <div class="stack close">
            <CopyBox value={joinCommandOf(made.value.token)} label={text.join.command} />
            <p class="quiet small">{text.join.once(made.value.expires_ms)}</p>
          </div>
        )}
      </form>
      {list.wrong !== null && <p class="note bad-note">{list.wrong}</p>}
      {joins.length > 0 && <TokenRows tokens={joins} onChange={list.reload} />}
    </div>
  );
}
