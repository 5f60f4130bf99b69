/** The view of a task: its frames, previews, times, log and settings. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Selection } from "../lib/selection.ts";
import { FrameFacts } from "../lib/frame-facts.ts";
import { mayChange, session } from "../lib/session.ts";
import { LiveTask } from "../lib/live-task.ts";
import { narrow } from "../parts/narrow.ts";
import { Tabs } from "../parts/tabs.tsx";
import { text } from "../text.ts";
import { nameOfTask } from "./farm-rules.ts";
import { FramePanel } from "./frame-panel.tsx";
import { TaskFrames } from "./task-frames.tsx";
import { TaskHead } from "./task-head.tsx";
import { TaskLogView } from "./task-log.tsx";
import { TaskSettings } from "./task-settings.tsx";
import { TaskTimeline } from "./task-timeline.tsx";
import { TaskTimes } from "./task-times.tsx";
import { PreviewPlayer } from "./preview-player.tsx";
import "./task.css";

type Tab = "log" | "times" | "timeline" | "settings";

interface SheetProps {
  id: number;
  /** Whether the viewer is signed in; a share link shows less. */
  full: boolean;
}

/** One task by its number. Give it the number as `key`, because its state belongs to one task. */
export function TaskSheet({ id, full }: SheetProps) {
  const live = useMemo(() => new LiveTask(id, full), [id, full]);
  useEffect(() => () => live.close(), [live]);
  const selection = useMemo(() => new Selection(), [id]);
  const tab = useSignal<Tab>(full ? "log" : "times");
  const logAttempt = useSignal<number | null>(null);
  const below = useRef<HTMLDivElement>(null);
  const needsFacts = useComputed(() => tab.value === "times" || tab.value === "timeline");
  const facts = useSignal<FrameFacts | null>(null);
  const asking = useRef(new AbortController());
  useEffect(() => () => asking.current.abort(), [id]);

  useSignalEffect(() => {
    const map = live.map.value;
    if (!map || !needsFacts.value || facts.peek()?.map === map) return;
    asking.current.abort();
    asking.current = new AbortController();
    const made = new FrameFacts(id, map, asking.current.signal);
    facts.value = made;
    made.load().catch(() => undefined);
  });
  useSignalEffect(() => {
    const moved = live.moved.value;
    if (moved) facts.peek()?.takeMoved(moved);
  });
  useSignalEffect(() => {
    const changed = live.changed.value;
    facts.peek()?.take(changed, live.nowMs);
  });
  useSignalEffect(() => {
    if (live.task.value) document.title = text.task.title(nameOfTask(live.task.value));
    if (live.socket.state.value === "signed out") session.value = null;
  });

  const task = live.task.value;
  if (live.socket.state.value === "gone") return <h1 class="empty">{task ? text.task.gone : text.task.unknown}</h1>;
  if (!task) return <p class="empty">{text.loading}</p>;
  const allowed = full && mayChange(task.owner);
  const onFrame = (index: number): void => {
    selection.moveTo(index, index);
    document.querySelector("#frame-title")?.scrollIntoView({ block: "nearest" });
  };
  const onLog = (attempt: number): void => {
    logAttempt.value = attempt;
    tab.value = "log";
    below.current?.scrollIntoView({ block: "nearest" });
  };
  const tabs = [
    ...(full ? ([["log", text.task.tabs.log]] as const) : []),
    ["times", text.task.tabs.times] as const,
    ["timeline", text.task.tabs.timeline] as const,
    ...(full ? ([["settings", text.task.tabs.settings]] as const) : []),
  ];
  // A task that makes no files has no previews and no downloads.
  const makesFiles = task.format !== "";
  const viewer = makesFiles && <PreviewPlayer live={live} taskId={id} selection={selection} />;
  const frames = (
    <TaskFrames
      live={live}
      taskId={id}
      selection={selection}
      mayChange={allowed}
      mayDownload={full && makesFiles}
      onOpen={() => document.querySelector("#frame-title")?.scrollIntoView({ block: "nearest" })}
    />
  );
  const panel = <FramePanel live={live} taskId={id} selection={selection} full={full} onLog={onLog} />;
  const more = (
    <div class="sheet" ref={below}>
      <Tabs label={text.task.tabsLabel} tabs={tabs} chosen={tab} />
      <div class="tab-body" role="tabpanel" id={`panel-${tab.value}`} aria-labelledby={`tab-${tab.value}`}>
        {tab.value === "log" && <TaskLogView live={live} taskId={id} attempt={logAttempt} />}
        {tab.value === "times" && facts.value && <TaskTimes facts={facts.value} onFrame={onFrame} />}
        {tab.value === "timeline" && facts.value && <TaskTimeline facts={facts.value} onFrame={onFrame} />}
        {tab.value === "settings" && <TaskSettings task={task} mayChange={allowed} />}
      </div>
    </div>
  );
  return (
    <>
      <TaskHead task={task} mayChange={allowed} full={full} />
      {narrow.value ? (
        // One column, in the order of importance: for the eye and for the Tab key alike.
        <div class="stack task-pair">
          {viewer}
          {frames}
          {panel}
          {more}
        </div>
      ) : (
        <div class="pair task-pair">
          <div class="stack">
            {frames}
            {more}
          </div>
          <div class="stack">
            {viewer}
            {panel}
          </div>
        </div>
      )}
    </>
  );
}

export function TaskView({ params }: { params: Record<string, string> }) {
  const id = Number(params["id"]);
  if (!Number.isSafeInteger(id) || id < 1) return <h1 class="empty">{text.notThere}</h1>;
  return <TaskSheet key={id} id={id} full />;
}
