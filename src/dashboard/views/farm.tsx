/** The farm: figures of the day, tasks by priority, workers. */
import { CopyBox, JoinMaker } from "../parts/controls.tsx";
import { Figures, type Figure } from "../parts/figures.tsx";
import { count, duration } from "../lib/format.ts";
import { known, openTasks, tasks, today, workers } from "../lib/farm.ts";
import { isAdmin, maySubmit } from "../lib/session.ts";
import { text } from "../text.ts";
import { Tasks } from "./farm-tasks.tsx";
import { Workers } from "./farm-workers.tsx";
import "./farm.css";

function FarmFigures() {
  const all = [...workers.value.values()];
  const online = all.filter((worker) => worker.connection === "online");
  const rendering = online.filter((worker) => worker.status === "rendering").length;
  const day = today.value;
  const t = text.farm.figures;
  const figures: Figure[] = [
    [
      t.workers,
      <>
        {count(online.length)} <small>{text.farm.of(all.length)}</small>
      </>,
    ],
    [t.rendering, count(rendering)],
    [t.open, count(openTasks.value)],
    [t.frames, count(day?.frames ?? 0)],
    [t.hours, duration(day?.seconds ?? 0)],
    [
      t.errors,
      <>
        {count(day?.errors ?? 0)} {day && day.lost > 0 && <small>{text.farm.lost(day.lost)}</small>}
      </>,
    ],
  ];
  return <Figures figures={figures} />;
}

/** The first steps, shown until there are a worker and a task. */
function FirstSteps() {
  const t = text.farm;
  const joined = workers.value.size;
  return (
    <section class="sheet steps" aria-labelledby="steps-title">
      <h2 id="steps-title">{t.emptyTitle}</h2>
      <p class="quiet">{t.emptyLead}</p>
      <ol>
        <li>
          <h3>{t.step1}</h3>
          {joined > 0 ? (
            <p>{t.step1Done(joined)}</p>
          ) : isAdmin.value ? (
            <>
              <p class="quiet">{t.step1Admin}</p>
              <JoinMaker />
            </>
          ) : (
            <p class="quiet">{t.step1Other}</p>
          )}
        </li>
        <li>
          <h3>{t.step2}</h3>
          <p class="quiet">{t.step2Lead}</p>
          <CopyBox value={t.submitCommand} label={t.step2} />
          {maySubmit.value && (
            <p>
              <a class="button" href="/app/submit">
                {t.submitButton}
              </a>
            </p>
          )}
        </li>
      </ol>
    </section>
  );
}

export function Farm() {
  const empty = known.value && (tasks.value.size === 0 || workers.value.size === 0);
  return (
    <div class="stack">
      <h1 class="hidden-text">{text.farm.title}</h1>
      <FarmFigures />
      {empty && <FirstSteps />}
      {tasks.value.size > 0 && <Tasks />}
      {workers.value.size > 0 && <Workers />}
    </div>
  );
}
