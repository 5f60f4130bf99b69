/** What the tabs of the manage view have in common: a list of things, and a form that adds one. */
import type { ComponentChildren } from "preact";
import type { Loaded } from "../lib/use-list.ts";

interface AdminForm {
  title: string;
  lead?: string;
  fields: ComponentChildren;
  /** The words of the button. */
  action: string;
  disabled?: boolean;
  onSubmit: () => void;
  /** What was made, when it must be shown: a secret that the manager shows once. */
  made?: ComponentChildren;
}

interface AdminTableProps<T> {
  lead?: string;
  /** The answer that `items` come from: nothing is shown before it is there, and its error instead of it. */
  list: Loaded<unknown>;
  items: readonly T[];
  rows: (items: readonly T[]) => ComponentChildren;
  /** Shown when there are no items. */
  none?: string;
  /** Title of the list, with its filters. */
  listHead?: ComponentChildren;
  form: AdminForm;
  /** Put the form above the list, where it is the reason to come here. */
  formFirst?: boolean;
}

export function AdminTable<T>({ lead, list, items, rows, none, listHead, form, formFirst }: AdminTableProps<T>) {
  const body =
    list.value === null ? null : items.length > 0 ? rows(items) : none !== undefined && <p class="quiet">{none}</p>;
  const table = (
    <>
      {list.wrong !== null && <p class="note bad-note">{list.wrong}</p>}
      {listHead === undefined ? (
        body
      ) : (
        <div class="stack close">
          {listHead}
          {body}
        </div>
      )}
    </>
  );
  return (
    <div class="stack">
      {lead !== undefined && <p class="quiet">{lead}</p>}
      {!formFirst && table}
      <form
        class="manage-form"
        onSubmit={(event) => {
          event.preventDefault();
          form.onSubmit();
        }}
      >
        <h2>{form.title}</h2>
        {form.lead !== undefined && <p class="quiet">{form.lead}</p>}
        {form.fields}
        <div class="actions">
          <button type="submit" class="button main" disabled={form.disabled}>
            {form.action}
          </button>
        </div>
        {form.made}
      </form>
      {formFirst && table}
    </div>
  );
}
