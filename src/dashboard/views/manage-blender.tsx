/** Which Blender tasks need and who cannot render it, which builds the farm keeps, and what each worker has. */
import type { BlenderBuild, BlenderBuilds, BlenderNeed } from "../../protocol/blender-build.ts";
import { needText } from "../../protocol/blender-text.ts";
import { versionsOffered } from "../../protocol/needs.ts";
import type { Worker } from "../../protocol/worker.ts";
import { managerNow } from "../lib/farm.ts";
import { ago, bytes } from "../lib/format.ts";
import { useList } from "../lib/use-list.ts";
import { Table, type TableColumn } from "../parts/table.tsx";
import { text } from "../text.ts";

const t = text.manage.blender;

const NEED_COLUMNS: readonly TableColumn<BlenderNeed>[] = [
  { title: t.needs, cell: ({ needs }) => needText(needs) },
  {
    title: t.tasks,
    cell: ({ tasks, more_tasks }) => (
      <>
        {tasks.map((id) => (
          <span key={id}>
            <a href={`/app/tasks/${id}`}>#{id}</a>{" "}
          </span>
        ))}
        {more_tasks && "…"}
      </>
    ),
  },
  {
    title: t.able,
    class: ({ have, fetch }) => (have + fetch === 0 ? "bad" : ""),
    cell: ({ have, fetch }) => t.ableText(have, fetch),
  },
  {
    title: t.unable,
    class: () => "quiet",
    cell: ({ cannot, cannot_names }) => t.unableText(cannot, cannot_names),
  },
];

const BUILD_COLUMNS: readonly TableColumn<BlenderBuild>[] = [
  { title: t.version, cell: ({ version }) => version },
  { title: t.platform, cell: ({ platform }) => platform },
  { title: t.size, cell: (build) => bytes(build.bytes) },
  {
    title: t.added,
    class: () => "quiet",
    cell: (build) => t.addedText(ago(build.added_ms, managerNow.value), build.added_by),
  },
];

const WORKER_COLUMNS: readonly TableColumn<Worker>[] = [
  { title: t.worker, cell: (worker) => <a href={`/app/workers/${worker.id}`}>{worker.name || worker.hostname}</a> },
  { title: t.has, cell: (worker) => versionsOffered(worker, "blender").join(", ") || t.none },
  { title: t.fetches, class: () => "quiet", cell: ({ fetches }) => fetches ?? t.fetchesNone },
];

/** Workers that are shown: a farm may have thousands, and the list of the farm has all. */
const SHOWN = 200;

export function ManageBlender() {
  const builds = useList<BlenderBuilds>("/blender-builds");
  const workers = useList<Record<string, Worker>>("/workers");
  const wrong = builds.wrong ?? workers.wrong;
  if (!builds.value || !workers.value)
    return <p class={wrong === null ? "quiet" : "note bad-note"}>{wrong ?? text.loading}</p>;
  const { builds: kept, needs = [] } = builds.value;
  const all = Object.values(workers.value).toSorted((a, b) => a.id - b.id);
  return (
    <div class="stack">
      <div class="stack close">
        <h2>{t.needed}</h2>
        {needs.length === 0 ? (
          <p class="quiet">{t.nothingNeeded}</p>
        ) : (
          <Table label={t.needed} columns={NEED_COLUMNS} items={needs} keyOf={(need) => need.needs} />
        )}
      </div>
      <div class="stack close">
        <h2>{t.builds}</h2>
        <p class="quiet">{t.buildsLead}</p>
        {kept.length > 0 && (
          <Table
            label={t.builds}
            columns={BUILD_COLUMNS}
            items={kept}
            keyOf={({ version, platform }) => `${version} ${platform}`}
          />
        )}
      </div>
      <div class="stack close">
        <h2>{t.workers}</h2>
        {all.length === 0 ? (
          <p class="quiet">{t.noWorkers}</p>
        ) : (
          <Table label={t.workers} columns={WORKER_COLUMNS} items={all.slice(0, SHOWN)} keyOf={({ id }) => id} />
        )}
        {all.length > SHOWN && <p class="quiet">{t.moreWorkers(all.length - SHOWN)}</p>}
      </div>
    </div>
  );
}
