/**
 * Submit from the browser: files are dropped, the type's schema makes the form, and an upload can
 * be stopped and resumed.
 */
import { batch, useComputed, useSignal, useSignalEffect, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { whyTooManyInputs } from "../../protocol/input-limits.ts";
import { daysOfText, RETENTION_SETTINGS } from "../../protocol/retention.ts";
import { whyTooLarge } from "../../protocol/piece-list.ts";
import type { Task } from "../../protocol/task.ts";
import type { SettingsFiles } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { bytes, counted } from "../lib/format.ts";
import { ApiError, messageOf } from "../lib/problem.ts";
import { randomKey } from "../lib/random-key.ts";
import { useList } from "../lib/use-list.ts";
import { go } from "../lib/router.ts";
import { maySubmit } from "../lib/session.ts";
import { tagsOf } from "../lib/tags.ts";
import { loadTaskTypes, taskTypes } from "../lib/task-types.ts";
import { Field } from "../parts/controls.tsx";
import { say } from "../parts/messages.tsx";
import { text } from "../text.ts";
import { pathsEndingIn, type Chosen } from "../upload/files.ts";
import { fieldsOf, valueOf, type SettingField } from "../upload/schema-form.ts";
import { Sender, type SendProgress } from "../upload/send.ts";
import { DropZone } from "./drop-zone.tsx";
import { missingLines, SceneReport, useScene, type SceneChoice } from "./scene-report.tsx";
import { SettingInput } from "./setting-input.tsx";
import { QueueFields, type Texts } from "./submit-queue.tsx";
import "./submit.css";

/**
 * Settings without a field: the upload fills in `file` and `assets`, and `frames` replaces the
 * other two.
 */
const WITHOUT_FIELD = new Set(["file", "assets", "frame_start", "frame_end"]);
/**
 * Settings that are shown at once, in this order; all others are under “More settings”, unless they
 * are required.
 */
const FIRST = [
  "frames",
  "render_preset",
  "engine",
  "samples",
  "resolution_percentage",
  "format",
  "width",
  "height",
  "text",
  "seconds",
  "task",
  "fps",
  "program",
  "args",
  "command",
];

/** The extension of files whose content the page reads. */
const BLEND = ".blend";

/** The name of a file without its folder and extension. */
function stem(path: string): string {
  return (path.split("/").at(-1) ?? path).replace(/(.)\.[^.]*$/, "$1");
}

/** The task's own rule; what is not a number of days is left to the manager, whose refusal names the field. */
function retentionOf(queue: Texts): Record<string, unknown> {
  const typed = RETENTION_SETTINGS.map((name) => [name, queue[name] ?? ""] as const);
  return Object.fromEntries(
    typed.flatMap(([name, value]) => (value.trim() === "" ? [] : [[name, daysOfText(value) ?? value]])),
  );
}

function SettingFields({
  fields,
  texts,
  errors,
}: {
  fields: readonly SettingField[];
  texts: Signal<Texts>;
  errors: ReadonlyMap<string, string>;
}) {
  return (
    <div class="fields">
      {fields.map((field) => (
        <SettingInput
          key={field.name}
          field={field}
          value={texts.value[field.name] ?? ""}
          error={errors.get(`settings.${field.name}`)}
          onValue={(value) => (texts.value = { ...texts.value, [field.name]: value })}
        />
      ))}
    </div>
  );
}

export function Submit() {
  const t = text.submit;
  /** The type that was chosen; null for the first of the list. */
  const choice = useSignal<string | null>(null);
  const files = useSignal<readonly Chosen[]>([]);
  const scene = useSignal("");
  const texts = useSignal<Texts>({ frames: "1-24" });
  /** The values of fields that nobody typed: they follow the scene. */
  const filled = useRef<Texts>({ frames: "1-24" });
  const takesOthers = useSignal(false);
  const queue = useSignal<Texts>({
    name: "",
    priority: "50",
    chunk: "1",
    order: "ascending",
    tags: "",
    tries: "3",
    retention_days: "",
    retention_after_download_days: "",
  });
  const paused = useSignal(false);
  const progress = useSignal<SendProgress | null>(null);
  const problem = useSignal<ApiError | Error | null>(null);
  const sender = useRef<Sender | null>(null);
  // A second submission after a lost answer has the same key, so that the manager makes one task of
  // both.
  const key = useRef(randomKey());

  const readTypes = (): void => {
    problem.value = null;
    loadTaskTypes().catch((thrown: unknown) => {
      problem.value = thrown instanceof Error ? thrown : new Error(String(thrown));
    });
  };
  useEffect(() => {
    document.title = `${t.title} · ${text.product}`;
    readTypes();
    return () => sender.current?.stop();
  }, []);
  const types = taskTypes.value ?? [];
  const type = useComputed(() => {
    const known = taskTypes.value ?? [];
    return known.find((one) => one.type === choice.value) ?? known[0];
  });
  const presets = useList<SettingsFiles>("/settings?group=render").value?.settings_files ?? [];
  const fields = (type.value ? fieldsOf(type.value.settings, WITHOUT_FIELD) : []).flatMap((field): SettingField[] => {
    if (field.name !== type.value?.preset_setting) return [field];
    return presets.length === 0 ? [] : [{ ...field, kind: "choice", choices: presets }];
  });
  const first = fields
    .filter((field) => FIRST.includes(field.name) || field.required)
    .sort((a, b) => FIRST.indexOf(a.name) - FIRST.indexOf(b.name));
  const extension = useComputed(() => type.value?.takes_file ?? null);
  const scenes = useComputed(() => (extension.value === null ? [] : pathsEndingIn(extension.value, files.value)));
  useSignalEffect(() => {
    const [first] = scenes.value;
    if (!scenes.value.includes(scene.peek())) scene.value = first ?? "";
  });
  const takesFile = extension.value !== null;
  const sceneChoice = useComputed((): SceneChoice | null => {
    if (extension.value !== BLEND) return null;
    const typed = (name: string): string | undefined => {
      const value = texts.value[name] ?? "";
      return value === "" || value === filled.current[name] ? undefined : value;
    };
    const formats = type.value?.settings.properties?.["format"]?.enum ?? [];
    return {
      scene: typed("scene"),
      camera: typed("camera"),
      engine: typed("engine"),
      format: typed("format"),
      hasPreset: typed("render_preset") !== undefined,
      autoexec: typed("autoexec") === "true",
      formats: formats.map(String),
      takesOthers: takesOthers.value,
    };
  });
  // The scene is read again only when one of the values differs, not with each letter of another field.
  const choiceText = useComputed(() => JSON.stringify(sceneChoice.value));
  const stableChoice = useComputed(() => JSON.parse(choiceText.value) as SceneChoice | null);
  const found = useScene(files, scene, stableChoice);
  useSignalEffect(() => {
    if (found.value.kind !== "found") return;
    const { preflight, summary } = found.value.scene;
    const own: Texts = {
      frames: preflight.frames ?? "",
      format: preflight.format ?? "",
      blender: summary.versionText,
    };
    const next = { ...texts.peek() };
    for (const [name, value] of Object.entries(own)) {
      if ((next[name] ?? "") !== (filled.current[name] ?? "") || value === "") continue;
      next[name] = value;
      filled.current = { ...filled.current, [name]: value };
    }
    texts.value = next;
  });
  const errors = new Map(
    problem.value instanceof ApiError ? problem.value.errors.map((one) => [one.field, one.message]) : [],
  );
  const placed = new Set([...fields.map((field) => `settings.${field.name}`), ...Object.keys(queue.value)]);
  const elsewhere = problem.value !== null && ![...errors.keys()].some((field) => placed.has(field));

  const settingsOf = (): Record<string, unknown> => {
    const settings: Record<string, unknown> = {};
    for (const field of fields) {
      const value = valueOf(field, texts.value[field.name] ?? "");
      if (value !== undefined) settings[field.name] = value;
    }
    return settings;
  };
  const allowsAll = texts.value["allow_missing_files"] === "true";
  const allowed = (texts.value["allow_missing"] ?? "").split("\n").filter((pattern) => pattern !== "");
  /** The files that are sent, as the workers have them. */
  const sent = (): readonly Chosen[] => (found.value.kind === "found" ? found.value.scene.files : files.value);
  /** Why these files cannot be submitted; null when they can. */
  const whyNotThese = (): string | null => {
    if (!takesFile) return null;
    if (scene.value === "") return t.noFile(extension.value!);
    const now = found.value;
    if (now.kind === "broken") return t.scene.broken(now.why);
    if (now.kind === "found") {
      const [wrong] = [...now.scene.preflight.problems, ...now.scene.wrong];
      if (wrong !== undefined) return wrong;
      const [missing] = missingLines(now.scene, allowed);
      if (!allowsAll && missing !== undefined) return t.scene.refused(missing);
    }
    const tooMany = whyTooManyInputs(sent().map(({ path }) => path));
    if (tooMany) return t.tooMany(tooMany.what, tooMany.advice);
    const tooLarge = sent().find(({ file }) => whyTooLarge(file.size) !== null);
    return tooLarge ? t.tooLarge(tooLarge.path, whyTooLarge(tooLarge.file.size)!) : null;
  };
  const send = async (): Promise<void> => {
    problem.value = null;
    const refusal = whyNotThese();
    if (refusal !== null) {
      problem.value = new Error(refusal);
      return;
    }
    try {
      const settings = settingsOf();
      if (takesFile) {
        sender.current = new Sender((now) => (progress.value = now));
        settings["assets"] = await sender.current.send(sent());
        settings["file"] = found.value.kind === "found" ? found.value.scene.file : scene.value;
      }
      const q = queue.value;
      const body = {
        type: type.value!.type,
        settings,
        name: q["name"] || (takesFile ? stem(scene.value) : undefined),
        priority: Number(q["priority"]),
        chunk: q["chunk"] === "auto" ? "auto" : Number(q["chunk"]),
        order: q["order"],
        tags: tagsOf(q["tags"] ?? ""),
        tries: Number(q["tries"]),
        paused: paused.value,
        ...retentionOf(q),
      };
      const task = await call<Task>("POST", "/tasks", { body, headers: { "Idempotency-Key": key.current } });
      say(t.done(task.id));
      go(`/app/tasks/${task.id}`);
    } catch (thrown) {
      batch(() => {
        if (thrown instanceof DOMException && thrown.name === "AbortError") say(t.stopped);
        else problem.value = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
        // The manager keeps no refusal under the key, so the next try is a submission of its own.
        if (thrown instanceof ApiError && thrown.status !== 0) key.current = randomKey();
      });
    } finally {
      progress.value = null;
      sender.current = null;
    }
  };
  if (!maySubmit.value) return <p class="empty">{t.viewer}</p>;
  const busy = progress.value !== null;
  const shown = progress.value;
  return (
    <form
      class="submit"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <div class="head">
        <h1>{t.title}</h1>
      </div>
      <fieldset class="stack" disabled={busy}>
        <div class="sheet submit-part">
          <Field label={t.type} hint={type.value?.summary}>
            {(attributes) => (
              <select
                {...attributes}
                class="input"
                value={type.value?.type}
                onChange={(event) => (choice.value = event.currentTarget.value)}
              >
                {types.map((one) => (
                  <option key={one.type} value={one.type}>
                    {one.type}
                  </option>
                ))}
              </select>
            )}
          </Field>
          {/* Until the types are known the zone keeps its place: most tasks take files. */}
          {(takesFile || type.value === undefined) && <DropZone files={files} extension={extension.value} />}
          {takesFile && scenes.value.length > 1 && (
            <Field label={t.main} hint={t.mainHint(extension.value!)}>
              {(attributes) => (
                <select
                  {...attributes}
                  class="input"
                  value={scene.value}
                  onChange={(event) => (scene.value = event.currentTarget.value)}
                >
                  {scenes.value.map((path) => (
                    <option key={path} value={path}>
                      {path}
                    </option>
                  ))}
                </select>
              )}
            </Field>
          )}
          {takesFile && <SceneReport state={found} takesOthers={takesOthers} allowed={allowsAll ? ["*"] : allowed} />}
        </div>
        <section class="sheet submit-part" aria-labelledby="settings-title">
          <h2 id="settings-title">{t.settings}</h2>
          <SettingFields fields={first} texts={texts} errors={errors} />
          <details open={[...errors.keys()].some((field) => field.startsWith("settings."))}>
            <summary>{t.moreSettings}</summary>
            <SettingFields fields={fields.filter((field) => !first.includes(field))} texts={texts} errors={errors} />
          </details>
        </section>
        <QueueFields queue={queue} paused={paused} errors={errors} placeholder={stem(scene.value)} />
      </fieldset>
      {elsewhere && problem.value && (
        <p class="note bad-note" role="alert">
          {problem.value.message}
        </p>
      )}
      <div class="submit-end">
        {types.length === 0 && problem.value ? (
          <button type="button" class="button" onClick={readTypes}>
            {text.retry}
          </button>
        ) : shown === null ? (
          // Until the settings of the type are known, the form has no fields and would send none.
          // While the scene is read, it is not known what would be sent.
          <button
            type="submit"
            class="button main"
            disabled={type.value === undefined || found.value.kind === "reading"}
          >
            {t.go}
          </button>
        ) : (
          <>
            <div class="transfer">
              <progress aria-label={t.uploadBar} max={Math.max(1, shown.total)} value={shown.done} />
              <span>
                {(shown.phase === "hashing" ? t.hashing : t.uploading)(bytes(shown.done), bytes(shown.total))}
                {shown.known > 0 && ` · ${t.known(shown.known)}`}
                {shown.retrying && ` · ${t.retrying}`}
              </span>
            </div>
            <button type="button" class="button" onClick={() => sender.current?.stop()}>
              {t.stop}
            </button>
          </>
        )}
        {shown === null && files.value.length > 0 && takesFile && (
          <span class="quiet">
            {counted(sent().length, "file")}, {bytes(sent().reduce((sum, { file }) => sum + file.size, 0))}
          </span>
        )}
      </div>
    </form>
  );
}
