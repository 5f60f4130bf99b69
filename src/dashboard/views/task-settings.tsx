/** The settings of a task, and the command that its workers run. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Command } from "../../protocol/plan.ts";
import type { TaskPlan } from "../../protocol/task-type.ts";
import type { Task } from "../../protocol/task.ts";
import { get } from "../lib/api.ts";
import { duration, instant } from "../lib/format.ts";
import { text } from "../text.ts";
import { TaskRetention } from "./task-retention.tsx";

/**
 * A command as a person would type it, with `$IN` and `$OUT` for the folders of the lease. It is
 * for reading; nothing runs it.
 */
function commandText({ program, args }: Pick<Command, "program" | "args">): string {
  const words = args.map((arg) => (typeof arg === "string" ? arg : "in" in arg ? `$IN/${arg.in}` : `$OUT/${arg.out}`));
  return [program, ...words]
    .map((word) => (/^[\w@%+=:,./$#-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(" ");
}

export function TaskSettings({ task, mayChange }: { task: Task; mayChange: boolean }) {
  const t = text.settings;
  const plan = useSignal<TaskPlan | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    get<TaskPlan>(`/tasks/${task.id}/plan`, abort.signal).then(
      (answer) => (plan.value = answer),
      () => undefined,
    );
    return () => abort.abort();
  }, [task.id, task.frame_list]);
  const { assets, ...own } = task.settings as Record<string, unknown> & { assets?: unknown };
  const files = Array.isArray(assets) ? assets.length : 0;
  const facts: [string, string][] = [
    [t.type, task.type],
    [t.parser, task.parser],
    [t.owner, task.owner],
    [t.created, instant(task.created_ms)],
    [t.updated, instant(task.updated_ms)],
    [t.frames, task.frame_list],
    [t.chunk, String(task.chunk)],
    [t.order, t.orders[task.order]],
    [t.tags, task.tags.join(", ") || text.none],
    [t.lease, duration(task.lease_ms / 1_000)],
    [t.tries, String(task.tries)],
  ];
  return (
    <div class="stack">
      <dl class="facts">
        {facts.map(([label, value]) => (
          <>
            <dt key={`${label}-t`}>{label}</dt>
            <dd key={label}>{value}</dd>
          </>
        ))}
      </dl>
      {mayChange && <TaskRetention task={task} />}
      <div class="stack close">
        <h3>
          {t.own} {files > 0 && <span class="quiet">({t.files(files)})</span>}
        </h3>
        <pre class="settings-json" tabIndex={0}>
          {JSON.stringify(own, null, 2)}
        </pre>
      </div>
      {plan.value && (
        <div class="stack close">
          <h3>{t.command}</h3>
          <pre class="settings-json" tabIndex={0}>
            {commandText(plan.value.command)}
          </pre>
        </div>
      )}
    </div>
  );
}
