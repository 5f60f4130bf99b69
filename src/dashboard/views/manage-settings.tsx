/** Settings of the farm: names and JSON values. */
import { useSignal } from "@preact/signals";
import type { Settings } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { useList } from "../lib/use-list.ts";
import { AdminTable } from "../parts/admin-table.tsx";
import { TextField } from "../parts/fields.tsx";
import { attempt, say } from "../parts/messages.tsx";
import { text } from "../text.ts";

/** The value of a field: JSON is parsed (`120` is a number), and anything else is a text. */
function valueOfText(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

function Row({ name, value, onSaved }: { name: string; value: unknown; onSaved: () => void }) {
  const shown = JSON.stringify(value);
  const draft = useSignal(shown);
  const save = (next: unknown): void =>
    void attempt(async () => {
      await call("PATCH", `/settings/${encodeURIComponent(name)}`, { body: { value: next } });
      onSaved();
    }, text.manage.saved);
  return (
    <form
      class="setting-row"
      onSubmit={(event) => {
        event.preventDefault();
        try {
          save(JSON.parse(draft.value));
        } catch {
          say(text.submit.badJson);
        }
      }}
    >
      <code class="clip" title={name}>
        {name}
      </code>
      <input
        class="input mono"
        aria-label={name}
        value={draft.value}
        onInput={(event) => (draft.value = event.currentTarget.value)}
      />
      <span class="actions">
        <button type="submit" class="button" disabled={draft.value === shown}>
          {text.save}
        </button>
        <button type="button" class="button danger" aria-label={`${text.remove} ${name}`} onClick={() => save(null)}>
          {text.remove}
        </button>
      </span>
    </form>
  );
}

export function ManageSettings() {
  const t = text.manage;
  const list = useList<Settings>("/settings");
  const name = useSignal("");
  const value = useSignal("");
  const add = (): void =>
    void attempt(async () => {
      const body = { value: valueOfText(value.value) };
      await call("PATCH", `/settings/${encodeURIComponent(name.value)}`, { body });
      name.value = "";
      value.value = "";
      list.reload();
    }, t.saved);
  return (
    <AdminTable
      lead={t.settingsLead}
      list={list}
      items={Object.entries(list.value ?? {})}
      rows={(settings) => (
        <div>
          {settings.map(([key, known]) => (
            <Row key={`${key} ${JSON.stringify(known)}`} name={key} value={known} onSaved={list.reload} />
          ))}
        </div>
      )}
      none={t.noSettings}
      form={{
        title: t.newSetting,
        action: text.save,
        onSubmit: add,
        fields: (
          <div class="fields">
            <TextField label={t.settingName} value={name} class="input mono" required />
            <TextField label={t.settingValue} value={value} class="input mono" required />
          </div>
        ),
      }}
    />
  );
}
