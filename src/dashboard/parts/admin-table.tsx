/** The common shape of the tabs of the manage view: a list, and a form that adds to it. */
import type { ComponentChildren } from "preact";
import type { ListState } from "../lib/use-list.ts";

interface AdminForm {
  title: string;
  lead?: string;
  fields: ComponentChildren;
  /** The text of the button. */
  action: string;
  disabled?: boolean;
  onSubmit: () => void;
  /** What the form has made, where it must be shown: the manager shows a secret only once. */
  made?: ComponentChildren;
}

interface AdminTableProps<T> {
  lead?: string;
  /**
   * The answer that the items come from. Without an answer no items are shown; its error is shown
   * above them.
   */
  list: ListState<unknown>;
  items: readonly T[];
  rows: (items: readonly T[]) => ComponentChildren;
  /** Shown when there are no items. */
  none?: string;
  /** Title of the list, with its filters. */
  listHead?: ComponentChildren;
  form: AdminForm;
  /** Put the form above the list: for tabs that people mostly open to add something. */
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
