/** What is done to several workers at once: the bar above their list. For admins. */
import { useSignal } from "@preact/signals";
import { mapConcurrent } from "../../lib/concurrency.ts";
import type { LiveWorker } from "../../protocol/live.ts";
import type { WorkerPatch } from "../../protocol/worker.ts";
import { call } from "../lib/api.ts";
import { messageOf } from "../lib/problem.ts";
import { tagsOf } from "../lib/tags.ts";
import { Confirm, Dialog } from "../parts/controls.tsx";
import { TextField } from "../parts/fields.tsx";
import { say } from "../parts/messages.tsx";
import { text } from "../text.ts";

/** Workers that are changed at once: to stop one takes up to five seconds. */
const AT_ONCE = 8;

/** Change each worker. One that is refused does not keep the others from being changed. */
async function changeAll(workers: readonly LiveWorker[], change: (worker: LiveWorker) => Promise<unknown>) {
  const t = text.farm.selected;
  const errors: string[] = [];
  await mapConcurrent(workers, AT_ONCE, async (worker) => {
    try {
      await change(worker);
    } catch (thrown) {
      errors.push(messageOf(thrown));
    }
  });
  say(errors.length === 0 ? t.changed(workers.length) : t.notChanged(errors.length, workers.length, errors[0]!));
}

const patchAll = async (workers: readonly LiveWorker[], body: (worker: LiveWorker) => WorkerPatch): Promise<void> =>
  await changeAll(workers, async (worker) => await call("PATCH", `/workers/${worker.id}`, { body: body(worker) }));

function Tags({ workers, onClose }: { workers: readonly LiveWorker[]; onClose: () => void }) {
  const t = text.farm.selected;
  const add = useSignal("");
  const remove = useSignal("");
  const save = (): void => {
    const [added, removed] = [tagsOf(add.value), tagsOf(remove.value)];
    onClose();
    if (added.length + removed.length === 0) return;
    void patchAll(workers, ({ tags }) => ({
      tags: [...new Set([...tags, ...added])].filter((tag) => !removed.includes(tag)),
    }));
  };
  return (
    <Dialog title={t.tagsTitle(workers.length)} onClose={onClose}>
      <form
        class="stack close"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <TextField label={t.add} value={add} hint={text.worker.tagsHint} />
        <TextField label={t.take} value={remove} hint={text.worker.chosenHint} />
        <div class="actions">
          <button type="submit" class="button main">
            {text.save}
          </button>
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface SelectedProps {
  workers: readonly LiveWorker[];
  /** Whether all that are listed are selected. */
  all: boolean;
  onAll: (all: boolean) => void;
  onEnd: () => void;
}

/** The bar: how many are selected, and what can be done to them. */
export function SelectedWorkers({ workers, all, onAll, onEnd }: SelectedProps) {
  const t = text.farm.selected;
  const open = useSignal<"stop" | "tags" | "remove" | null>(null);
  const close = (): void => {
    open.value = null;
  };
  const none = workers.length === 0;
  const offline = workers.filter(({ connection }) => connection === "offline");
  const act = (status: NonNullable<WorkerPatch["status"]>): void => void patchAll(workers, () => ({ status }));
  const remove = (): void => void changeAll(offline, async (worker) => await call("DELETE", `/workers/${worker.id}`));
  return (
    <div class="selected" role="group" aria-label={t.label}>
      <label class="check">
        <input
          type="checkbox"
          checked={all}
          ref={(box) => {
            if (box) box.indeterminate = !all && !none;
          }}
          onChange={(event) => onAll(event.currentTarget.checked)}
        />
        <span aria-live="polite">{t.count(workers.length)}</span>
      </label>
      <div class="actions">
        <button
          type="button"
          class="button little"
          disabled={none}
          title={text.worker.drainHint}
          onClick={() => act("drain")}
        >
          {text.worker.drain}
        </button>
        <button type="button" class="button little" disabled={none} onClick={() => act("enabled")}>
          {text.worker.enable}
        </button>
        <button type="button" class="button little" disabled={none} onClick={() => (open.value = "tags")}>
          {t.tags}
        </button>
        <button type="button" class="button little danger" disabled={none} onClick={() => (open.value = "stop")}>
          {text.worker.stopNow}
        </button>
        <button
          type="button"
          class="button little danger"
          disabled={offline.length === 0}
          title={t.removeHint}
          onClick={() => (open.value = "remove")}
        >
          {t.remove(offline.length)}
        </button>
        <button type="button" class="button little" onClick={onEnd}>
          {t.end}
        </button>
      </div>
      {open.value === "tags" && <Tags workers={workers} onClose={close} />}
      {open.value === "stop" && (
        <Confirm
          title={text.worker.stopNow}
          words={t.stopSure(workers.length)}
          action={text.worker.stopNow}
          onClose={close}
          onYes={() => act("stop_now")}
        />
      )}
      {open.value === "remove" && (
        <Confirm
          title={t.remove(offline.length)}
          words={t.removeSure(offline.length)}
          action={text.worker.remove}
          onClose={close}
          onYes={remove}
        />
      )}
    </div>
  );
}
