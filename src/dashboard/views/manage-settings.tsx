/** Settings of the farm: names and JSON values. */
import { useSignal } from "@preact/signals";
import type { Settings } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { useList } from "../lib/use-list.ts";
import { Field } from "../parts/controls.tsx";
import { attempt, say } from "../parts/messages.tsx";
import { text } from "../text.ts";

/** A text that is JSON is that value; `120` is a number, and so on. Everything else is text. */
function spelled(value: string): unknown {
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
      await call("PATCH", `/settings/${encodeURIComponent(name.value)}`, { body: { value: spelled(value.value) } });
      name.value = "";
      value.value = "";
      list.reload();
    }, t.saved);
  const rows = Object.entries(list.value ?? {});
  return (
    <div class="stack">
      <p class="quiet">{t.settingsLead}</p>
      {list.wrong !== null && <p class="note bad-note">{list.wrong}</p>}
      {list.value !== null && rows.length === 0 && <p class="quiet">{t.noSettings}</p>}
      {rows.length > 0 && (
        <div>
          {rows.map(([key, known]) => (
            <Row key={`${key} ${JSON.stringify(known)}`} name={key} value={known} onSaved={list.reload} />
          ))}
        </div>
      )}
      <form
        class="manage-form"
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        <h2>{t.newSetting}</h2>
        <div class="fields">
          <Field label={t.settingName}>
            {(attributes) => (
              <input
                {...attributes}
                class="input mono"
                required
                value={name.value}
                onInput={(event) => (name.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={t.settingValue}>
            {(attributes) => (
              <input
                {...attributes}
                class="input mono"
                required
                value={value.value}
                onInput={(event) => (value.value = event.currentTarget.value)}
              />
            )}
          </Field>
        </div>
        <div class="actions">
          <button type="submit" class="button main">
            {text.save}
          </button>
        </div>
      </form>
    </div>
  );
}
