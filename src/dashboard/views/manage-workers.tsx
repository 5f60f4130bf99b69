/** Join tokens: how machines become workers. */
import { useSignal } from "@preact/signals";
import type { TokenCreated, TokenList } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { tagsOf } from "../lib/tags.ts";
import { useList } from "../lib/use-list.ts";
import { AdminTable } from "../parts/admin-table.tsx";
import { JoinCommandBox } from "../parts/controls.tsx";
import { SelectField, TextField } from "../parts/fields.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { hasEnded, TokenRows } from "./token-rows.tsx";

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
        tags: tagsOf(tags.value),
      };
      made.value = await call<TokenCreated>("POST", "/tokens", { body });
      list.reload();
    });
  const joins = (list.value?.tokens ?? []).filter(
    (token) => token.role === "join" && !hasEnded(token, managerNow.value),
  );
  return (
    <AdminTable
      list={list}
      items={joins}
      rows={(tokens) => <TokenRows tokens={tokens} onChange={list.reload} />}
      formFirst
      form={{
        title: t.joinTitle,
        lead: t.joinLead,
        action: text.join.make,
        onSubmit: make,
        fields: (
          <div class="fields">
            <SelectField label={t.expires} value={expires} choices={Object.entries(t.expiryChoices)} />
            <TextField label={t.uses} hint={t.usesHint} value={uses} kind="number" min={1} />
            <TextField label={t.tags} hint={text.worker.tagsHint} value={tags} />
          </div>
        ),
        made: made.value && <JoinCommandBox token={made.value.token} expires_ms={made.value.expires_ms} />,
      }}
    />
  );
}
