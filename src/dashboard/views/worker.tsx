/** The view of a worker: its state, its machine, its history, and the actions on it. */
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { HistoryEvent, WorkerTotal } from "../../protocol/history.ts";
import type { LiveWorker } from "../../protocol/live.ts";
import type { WorkerInfo, WorkerPatch } from "../../protocol/worker.ts";
import { otherAgentText, programsOf, updateFailedText } from "../../protocol/worker-state.ts";
import type { HistoryPage, WorkerTotals } from "../lib/answers.ts";
import { call, get, withQuery } from "../lib/api.ts";
import { known, managerNow, tasks, workers } from "../lib/farm.ts";
import { ago, count, duration, instant } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import { go } from "../lib/router.ts";
import { isAdmin } from "../lib/session.ts";
import { tagsOf } from "../lib/tags.ts";
import { Confirm, Dialog } from "../parts/controls.tsx";
import { TextField } from "../parts/fields.tsx";
import { Figures, type Figure } from "../parts/figures.tsx";
import { WorkerStateMark } from "../parts/marks.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { EventRows } from "./event-rows.tsx";
import { nameOfTask } from "./farm-rules.ts";
import { WhyDialog } from "./why.tsx";
import "./worker.css";

const EVENTS = 100;

function Edit({ worker, onClose, onSaved }: { worker: WorkerInfo; onClose: () => void; onSaved: () => void }) {
  const t = text.worker;
  const name = useSignal(worker.name);
  const tags = useSignal(worker.tags.join(", "));
  const save = async (): Promise<void> => {
    // What is sent becomes an admin's choice: a field that was not touched stays the agent's.
    const after = tagsOf(tags.value);
    const body = {
      ...(name.value !== worker.name && { name: name.value }),
      ...(after.join() !== worker.tags.join() && { tags: after }),
    };
    if (Object.keys(body).length === 0) onClose();
    else await send(body);
  };
  const send = async (body: WorkerPatch): Promise<void> => {
    if (await attempt(() => call("PATCH", `/workers/${worker.id}`, { body }), t.saved)) {
      onSaved();
      onClose();
    }
  };
  const chosen = worker.chosen ?? [];
  return (
    <Dialog title={t.edit} onClose={onClose}>
      <form
        class="stack close"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <TextField label={t.name} value={name} />
        <TextField label={t.tags} hint={`${t.tagsHint} ${t.chosenHint}`} value={tags} />
        <div class="actions">
          <button type="submit" class="button main">
            {text.save}
          </button>
          {chosen.length > 0 && (
            <button
              type="button"
              class="button"
              onClick={() => void send(Object.fromEntries(chosen.map((field) => [field, null])))}
            >
              {t.unchoose}
            </button>
          )}
          <button type="button" class="button" onClick={onClose}>
            {text.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Actions({ worker, reload }: { worker: WorkerInfo; reload: () => void }) {
  const t = text.worker;
  const open = useSignal<"edit" | "remove" | "stop" | "why" | null>(null);
  const close = (): void => {
    open.value = null;
  };
  const act = (status: "enabled" | "disabled" | "drain"): void =>
    void attempt(async () => {
      await call("PATCH", `/workers/${worker.id}`, { body: { status } });
      reload();
    });
  const remove = (): void =>
    void attempt(async () => {
      await call("DELETE", `/workers/${worker.id}`);
      go("/app");
    }, t.removed);
  const stop = (): void =>
    void attempt(async () => {
      await call("PATCH", `/workers/${worker.id}`, { body: { status: "stop_now" } satisfies WorkerPatch });
      reload();
    }, t.stopped);
  const off = worker.status === "disabled" || worker.draining;
  const busy = worker.status === "rendering" || worker.current_task !== null;
  return (
    <div class="actions">
      <button type="button" class="button" onClick={() => (open.value = "why")}>
        {text.task.why}
      </button>
      {isAdmin.value && (
        <>
          {off ? (
            <button type="button" class="button main" onClick={() => act("enabled")}>
              {t.enable}
            </button>
          ) : (
            <>
              <button type="button" class="button" title={t.drainHint} onClick={() => act("drain")}>
                {t.drain}
              </button>
              <button type="button" class="button" title={t.disableHint} onClick={() => act("disabled")}>
                {t.disable}
              </button>
            </>
          )}
          <button type="button" class="button" onClick={() => (open.value = "edit")}>
            {t.edit}
          </button>
          {busy && (
            <button type="button" class="button danger" title={t.stopHint} onClick={() => (open.value = "stop")}>
              {t.stopNow}
            </button>
          )}
          <button type="button" class="button danger" onClick={() => (open.value = "remove")}>
            {t.remove}
          </button>
        </>
      )}
      {open.value === "why" && <WhyDialog of="workers" id={worker.id} onClose={close} />}
      {open.value === "edit" && <Edit worker={worker} onClose={close} onSaved={reload} />}
      {open.value === "stop" && (
        <Confirm title={t.stopNow} words={t.stopSure} action={t.stopNow} onClose={close} onYes={stop} />
      )}
      {open.value === "remove" && (
        <Confirm title={t.remove} words={t.removeSure} action={t.remove} onClose={close} onYes={remove} />
      )}
    </div>
  );
}

function Stats({ total }: { total: WorkerTotal | undefined }) {
  const t = text.worker;
  const figures: Figure[] = [
    [t.frames, count(total?.frames ?? 0)],
    [t.rate, total?.frames_per_hour == null ? "–" : count(total.frames_per_hour)],
    [t.time, duration(total?.seconds ?? 0)],
    [t.errors, count(total?.errors ?? 0)],
    [t.lost, count(total?.lost ?? 0)],
  ];
  return <Figures figures={figures} label={t.stats} />;
}

function Machine({ worker }: { worker: WorkerInfo }) {
  const t = text.worker;
  const live = workers.value.get(worker.id);
  const often = worker.update_frequent;
  const seldom = worker.update_less_frequent;
  const programs = programsOf(worker);
  const facts: [string, string][] = [
    [t.seen, worker.connection === "online" ? t.now : ago(worker.last_seen_ms, managerNow.value)],
    [t.load, ["1min", "5min", "15min"].map((span) => often.load_average[span as "1min"].toFixed(2)).join("  ")],
    [t.cpu, `${Math.round(live?.cpu_percent ?? often.worker_cpu_percent)} %`],
    [t.memory, `${Math.round(live?.mem_percent ?? seldom.worker_mem_percent)} %`],
    [t.disk, `${Math.round(seldom.worker_disk_percent)} %`],
    [t.cpus, `${seldom.worker_num_cpus} × ${seldom.worker_architecture}`],
    [t.slots, String(worker.slots)],
    [t.tags, worker.tags.join(", ") || text.none],
    [t.system, worker.system],
    [t.address, worker.ip_address],
    [t.programs, programs.join("\n") || text.none],
    [t.types, worker.task_types.join(", ") || text.none],
    [t.version, worker.version],
    [t.registered, instant(worker.registered_ms)],
    ...(worker.expires_ms == null ? [] : [[t.removal, t.removalUnless(worker.expires_ms)] as [string, string]]),
  ];
  return (
    <section class="sheet" aria-labelledby="machine-title">
      <div class="sheet-head">
        <h2 id="machine-title">{t.machine}</h2>
      </div>
      <dl class="facts sheet-body worker-facts">
        {facts.map(([label, value]) => (
          <>
            <dt key={`${label}-t`}>{label}</dt>
            <dd key={label}>{value}</dd>
          </>
        ))}
      </dl>
    </section>
  );
}

/** What somebody at the machine has asked for; null: nothing, or the agent does not run. */
function localNote(worker: LiveWorker | WorkerInfo): string | null {
  if (worker.connection === "offline" || worker.local_state == null) return null;
  if (worker.local_state === "draining") return text.worker.leavingNote;
  return worker.status === "rendering" ? text.worker.pausingNote : text.worker.pausedNote;
}

function WorkerSheet({ id }: { id: number }) {
  const t = text.worker;
  const info = useSignal<WorkerInfo | null>(null);
  const wrong = useSignal<string | null>(null);
  const events = useSignal<readonly HistoryEvent[] | null>(null);
  const totals = useSignal<WorkerTotals | null>(null);
  // State and current task come from the live socket. All other facts change rarely and are read
  // when these change.
  const live = useComputed(() => workers.value.get(id));
  const reload = (): void => {
    get<WorkerInfo>(`/workers/${id}`).then(
      (worker) => {
        info.value = worker;
        wrong.value = null;
      },
      (thrown: unknown) => (wrong.value = messageOf(thrown)),
    );
  };
  const changes = live.value
    ? `${live.value.status} ${live.value.draining} ${live.value.connection} ${live.value.name} ${live.value.tags.join()}`
    : "";
  const seen = useRef(false);
  useEffect(() => {
    if (live.value) seen.current = true;
    else if (seen.current) {
      // The worker was removed while this view was open.
      info.value = null;
      wrong.value = t.unknown;
      return;
    }
    reload();
  }, [id, changes]);
  useEffect(() => {
    const abort = new AbortController();
    get<HistoryPage>(withQuery("/history", { worker_id: id, limit: EVENTS }), abort.signal).then(
      (page) => (events.value = page.events),
      () => undefined,
    );
    get<WorkerTotals>("/history/workers", abort.signal).then(
      (answer) => (totals.value = answer),
      () => undefined,
    );
    return () => abort.abort();
  }, [id, live.value?.current_task]);
  const worker = info.value;
  if (!worker) {
    const words = wrong.value ?? (known.value && !live.value ? t.unknown : null);
    return words === null ? <p class="empty">{text.loading}</p> : <h1 class="empty">{words}</h1>;
  }
  const now = live.value ?? worker;
  const task = now.current_task === null ? undefined : tasks.value.get(now.current_task);
  return (
    <div class="stack">
      <div>
        <div class="head">
          <h1>{worker.name || worker.hostname}</h1>
          <WorkerStateMark worker={now} />
          <span class="quiet">
            #{worker.id}
            {now.current_task !== null && (
              <>
                {" · "}
                <a href={`/app/tasks/${now.current_task}`}>{task ? nameOfTask(task) : `#${now.current_task}`}</a>
              </>
            )}
          </span>
          <Actions
            worker={{ ...worker, status: now.status, draining: now.draining, current_task: now.current_task }}
            reload={reload}
          />
        </div>
        {localNote(now) !== null && <p class="note">{localNote(now)}</p>}
        {now.other_agent && <p class="note bad-note">{otherAgentText(now.other_agent)}</p>}
        {now.update_failed && <p class="note bad-note">{updateFailedText(now.update_failed)}</p>}
        <p class="quiet small worker-span">{t.stats}</p>
        <Stats total={totals.value?.workers.find((total) => total.worker_id === id)} />
      </div>
      <div class="pair">
        <section class="sheet" aria-labelledby="events-title">
          <div class="sheet-head">
            <h2 id="events-title">{t.history}</h2>
          </div>
          {events.value === null ? (
            <p class="empty">{text.loading}</p>
          ) : events.value.length === 0 ? (
            <p class="empty">{t.historyEmpty}</p>
          ) : (
            <EventRows events={events.value} />
          )}
        </section>
        <Machine worker={worker} />
      </div>
    </div>
  );
}

export function WorkerView({ params }: { params: Record<string, string> }) {
  const id = Number(params["id"]);
  if (!Number.isSafeInteger(id) || id < 1) return <h1 class="empty">{text.notThere}</h1>;
  return <WorkerSheet key={id} id={id} />;
}
