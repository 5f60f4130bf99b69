/** A table for short lists: all of its rows exist. For long lists there is `LongList`. */
import type { ComponentChildren } from "preact";
import "./table.css";

export interface TableColumn<T> {
  title: string;
  /** Show the title to screen readers only, for a column of buttons. */
  hiddenTitle?: boolean;
  cell: (item: T) => ComponentChildren;
  /** Align title and cells at the end, for numbers. */
  end?: boolean;
  /** Further classes of a cell. */
  class?: (item: T) => string;
  /** The tooltip of a cell. */
  tooltip?: (item: T) => string | undefined;
}

interface TableProps<T> {
  label: string;
  /** The cells of the first column are the headings of their rows. */
  columns: readonly TableColumn<T>[];
  items: readonly T[];
  keyOf: (item: T) => string | number;
  rowClass?: (item: T) => string;
  withoutTitles?: boolean;
}

function classes(...names: (string | false | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

export function Table<T>({ label, columns, items, keyOf, rowClass, withoutTitles = false }: TableProps<T>) {
  return (
    <div class="table-box" tabIndex={0} role="group" aria-label={label}>
      <table>
        {!withoutTitles && (
          <thead>
            <tr>
              {columns.map(({ title, hiddenTitle, end }) => (
                <th scope="col" class={classes(end && "num")} key={title}>
                  {hiddenTitle ? <span class="hidden-text">{title}</span> : title}
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {items.map((item) => (
            <tr key={keyOf(item)} class={rowClass?.(item) ?? ""}>
              {columns.map((column, index) => {
                const className = classes(column.end && "num", column.class?.(item));
                return index === 0 ? (
                  <th scope="row" class={className} key={column.title}>
                    {column.cell(item)}
                  </th>
                ) : (
                  <td class={className} title={column.tooltip?.(item)} key={column.title}>
                    {column.cell(item)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
