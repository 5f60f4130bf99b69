/**
 * The fields of a submission that every type has: name, priority, frames per lease, order, tags,
 * tries.
 */
import type { Signal } from "@preact/signals";
import { Field } from "../parts/controls.tsx";
import { InputOfKind, type InputKind } from "../parts/input.tsx";
import { text } from "../text.ts";

export type Texts = Record<string, string>;

interface Props {
  queue: Signal<Texts>;
  paused: Signal<boolean>;
  errors: ReadonlyMap<string, string>;
  /** The name that the task gets when the field is empty. */
  placeholder: string;
}

export function QueueFields({ queue, paused, errors, placeholder }: Props) {
  const t = text.submit;
  const set = (name: string) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) => {
    queue.value = { ...queue.value, [name]: event.currentTarget.value };
  };
  const queued = (name: string, label: string, hint?: string, kind: InputKind = "text") => (
    <Field label={label} hint={hint} error={errors.get(name)}>
      {(attributes) => <InputOfKind {...attributes} kind={kind} value={queue.value[name]} onInput={set(name)} />}
    </Field>
  );
  return (
    <section class="sheet submit-part" aria-labelledby="queue-title">
      <h2 id="queue-title">{t.queue}</h2>
      <div class="fields">
        <Field label={t.name} error={errors.get("name")}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              placeholder={placeholder}
              value={queue.value["name"]}
              onInput={set("name")}
            />
          )}
        </Field>
        {queued("priority", t.priority, t.priorityHint, "number")}
        {queued("chunk", t.chunk, t.chunkHint)}
        <Field label={t.order} error={errors.get("order")}>
          {(attributes) => (
            <select {...attributes} class="input" value={queue.value["order"]} onChange={set("order")}>
              {Object.entries(text.settings.orders).map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
        {queued("tags", t.tags)}
        {queued("tries", t.tries, undefined, "number")}
      </div>
      <details open={errors.has("retention_days") || errors.has("retention_after_download_days")}>
        <summary>{text.retention.title}</summary>
        <div class="fields">
          {queued("retention_days", text.retention.days, text.retention.hint)}
          {queued("retention_after_download_days", text.retention.afterDownload, text.retention.hint)}
        </div>
      </details>
      <label class="check">
        <input
          type="checkbox"
          checked={paused.value}
          onChange={(event) => (paused.value = event.currentTarget.checked)}
        />
        {t.paused}
      </label>
    </section>
  );
}
