/** The place where files are dropped or chosen, and the list of these files. */
import { useComputed, useSignal, type Signal } from "@preact/signals";
import { bytes } from "../lib/format.ts";
import { Icon } from "../parts/icons.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { chosen, dropped, together, type Chosen, type Found } from "../upload/files.ts";

/**
 * Files that are listed by name; of the rest, only the number is shown. A folder may have
 * thousands.
 */
const SHOWN = 8;

interface Props {
  files: Signal<readonly Chosen[]>;
  /** Of the file that the task is made from; null while it is not known. */
  extension: string | null;
}

export function DropZone({ files, extension }: Props) {
  const t = text.submit;
  const over = useSignal(false);
  const leftOut = useSignal<readonly string[]>([]);
  const take = (found: Found): void => {
    files.value = together(files.value, found.files);
    leftOut.value = found.leftOut.filter((line) => !leftOut.value.includes(line)).concat(leftOut.value);
  };
  const rows = useComputed(() => files.value.slice(0, SHOWN));
  const pick = (folder: boolean) => (
    <label class="button">
      {folder && <Icon name="folder" />}
      {folder ? t.chooseFolder : t.choose}
      <input
        type="file"
        class="hidden-text"
        multiple
        {...(folder && { webkitdirectory: true })}
        onChange={(event) => {
          take(chosen(event.currentTarget.files));
          // Otherwise the same file, chosen again after a change, would raise no event.
          event.currentTarget.value = "";
        }}
      />
    </label>
  );
  return (
    <div
      class={over.value ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        const transfer = event.dataTransfer;
        if (transfer) void attempt(async () => take(await dropped(transfer)));
      }}
    >
      <div class="drop-words">
        <p class="strong">{t.drop(extension)}</p>
        <p class="quiet">{t.dropHint}</p>
      </div>
      <div class="actions">
        {pick(false)}
        {pick(true)}
        {files.value.length > 0 && (
          <button
            type="button"
            class="button plain"
            onClick={() => {
              files.value = [];
              leftOut.value = [];
            }}
          >
            {t.clear}
          </button>
        )}
      </div>
      {files.value.length > 0 && (
        <ul class="drop-files">
          {rows.value.map(({ path, file }) => (
            <li key={path}>
              <span class="clip" title={path}>
                {path}
              </span>
              <span class="num quiet">{bytes(file.size)}</span>
              <button
                type="button"
                class="button plain little icon"
                aria-label={`${text.remove} ${path}`}
                onClick={() => (files.value = files.value.filter((one) => one.path !== path))}
              >
                <Icon name="close" />
              </button>
            </li>
          ))}
          {files.value.length > SHOWN && <li class="quiet">+ {files.value.length - SHOWN}</li>}
        </ul>
      )}
      {leftOut.value.length > 0 && (
        <div class="note bad-note" role="status">
          <p>{t.leftOut(leftOut.value.length)}</p>
          <ul>
            {leftOut.value.slice(0, SHOWN).map((line) => (
              <li key={line}>{line}</li>
            ))}
            {leftOut.value.length > SHOWN && <li>+ {leftOut.value.length - SHOWN}</li>}
          </ul>
        </div>
      )}
    </div>
  );
}
