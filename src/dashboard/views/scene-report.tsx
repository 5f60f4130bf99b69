/** What the chosen .blend is, what of the chosen files it needs, and what is missing. */
import { useSignal, useSignalEffect, type ReadonlySignal, type Signal } from "@preact/signals";
import { counted, bytes } from "../lib/format.ts";
import { messageOf } from "../lib/problem.ts";
import { isAllowed } from "../../blend/allow-missing.ts";
import { text } from "../text.ts";
import type { Chosen } from "../upload/files.ts";
import type { FoundScene } from "../upload/scene.ts";

/** How many lines of a kind are shown. */
const SHOWN = 12;

/** What is known of the scene. */
export type SceneState =
  | { kind: "none" }
  | { kind: "reading" }
  | { kind: "broken"; why: string }
  | { kind: "found"; scene: FoundScene };

/** What the person chose of what the scene has itself. */
export interface SceneChoice {
  scene: string | undefined;
  camera: string | undefined;
  engine: string | undefined;
  format: string | undefined;
  hasPreset: boolean;
  autoexec: boolean;
  formats: readonly string[];
  takesOthers: boolean;
}

/** The state of the scene, read again when the files or the choices change. */
export function useScene(
  files: Signal<readonly Chosen[]>,
  file: Signal<string>,
  choice: ReadonlySignal<SceneChoice | null>,
): Signal<SceneState> {
  const state = useSignal<SceneState>({ kind: "none" });
  useSignalEffect(() => {
    const [chosen, name, wanted] = [files.value, file.value, choice.value];
    let isLast = true;
    const tell = (next: SceneState): void => {
      if (isLast) state.value = next;
    };
    if (wanted === null || name === "" || !chosen.some(({ path }) => path === name)) tell({ kind: "none" });
    else {
      tell({ kind: "reading" });
      const { takesOthers, ...options } = wanted;
      import("../upload/scene.ts")
        .then(async ({ findScene }) => await findScene(chosen, name, options, takesOthers))
        .then((scene) => tell({ kind: "found", scene }))
        .catch((thrown: unknown) => tell({ kind: "broken", why: messageOf(thrown) }));
    }
    return () => {
      isLast = false;
    };
  });
  return state;
}

function Lines({ lines }: { lines: readonly string[] }) {
  return (
    <ul>
      {lines.slice(0, SHOWN).map((line) => (
        <li key={line}>{line}</li>
      ))}
      {lines.length > SHOWN && <li>+ {lines.length - SHOWN}</li>}
    </ul>
  );
}

/** The sentences for what the scene needs and does not have, without what may be missing. */
export function missingLines({ missing }: FoundScene, allowed: readonly string[]): string[] {
  return missing
    .filter((one) => !isAllowed(one, allowed))
    .map(({ kind, owner, path, why }) => `${kind} “${owner}”: ${path} ${why}`);
}

interface Props {
  state: Signal<SceneState>;
  /** Whether files that the scene does not name are sent, too. */
  takesOthers: Signal<boolean>;
  /** Patterns of what may be missing. */
  allowed: readonly string[];
}

export function SceneReport({ state, takesOthers, allowed }: Props) {
  const t = text.submit.scene;
  const now = state.value;
  if (now.kind === "none") return null;
  if (now.kind === "reading") return <p class="quiet">{t.reading}</p>;
  if (now.kind === "broken")
    return (
      <p class="note bad-note" role="alert">
        {t.broken(now.why)}
      </p>
    );
  const { scene } = now;
  const { preflight } = scene;
  const missing = missingLines(scene, allowed);
  const spared = scene.missing.length - missing.length;
  const problems = [...preflight.problems, ...scene.wrong];
  const others = scene.others.reduce((sum, { file }) => sum + file.size, 0);
  return (
    <div class="scene-report" role="status">
      <p>
        {t.head(scene.summary.versionText, preflight.scene?.name ?? "", preflight.frames ?? "")}
        {preflight.scene && ` · ${preflight.scene.width}×${preflight.scene.height} · ${preflight.scene.engine}`}
      </p>
      <p class="quiet">
        {t.sends(scene.files.length, bytes(scene.files.reduce((sum, { file }) => sum + file.size, 0)))}
      </p>
      {scene.others.length > 0 && (
        <label class="check">
          <input
            type="checkbox"
            checked={takesOthers.value}
            onChange={(event) => (takesOthers.value = event.currentTarget.checked)}
          />
          {t.others(scene.others.length, bytes(others))}
        </label>
      )}
      {scene.unused.length > 0 && <p class="quiet">{t.unused(counted(scene.unused.length, "file"))}</p>}
      {problems.length > 0 && (
        <div class="note bad-note">
          <Lines lines={problems} />
        </div>
      )}
      {missing.length > 0 && (
        <div class="note bad-note">
          <p>{t.missing(missing.length)}</p>
          <Lines lines={missing} />
        </div>
      )}
      {spared > 0 && <p class="note warnings">{t.spared(spared)}</p>}
      {preflight.warnings.length > 0 && (
        <div class="note warnings">
          <Lines lines={preflight.warnings} />
        </div>
      )}
    </div>
  );
}
