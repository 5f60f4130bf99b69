/** What a share link shows: one task, to look at. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { go } from "../lib/router.ts";
import { session, signIn } from "../lib/session.ts";
import { Logo } from "../parts/icons.tsx";
import { text } from "../text.ts";
import { ThemeButton } from "../parts/theme-button.tsx";
import { TaskSheet } from "./task.tsx";

/** The task of a link's token: its first part is readable, the second is the signature that the manager checks. */
export function taskOf(token: string): number | null {
  try {
    const claims: unknown = JSON.parse(atob(token.split(".")[0]!.replaceAll("-", "+").replaceAll("_", "/")));
    if (typeof claims !== "object" || claims === null || !("task" in claims)) return null;
    return typeof claims.task === "number" ? claims.task : null;
  } catch {
    return null;
  }
}

export function ShareView() {
  const t = text.share;
  const wrong = useSignal<string | null>(null);
  const who = session.value;
  const token = location.hash.slice(1);
  useEffect(() => {
    const task = taskOf(token);
    // Whoever is signed in sees more than the link shows, and must not lose that.
    if (who && who.role !== "share") {
      if (task !== null) go(`/app/tasks/${task}`, true);
      else wrong.value = t.bad;
      return;
    }
    if (who?.role === "share" && (token === "" || task === who.task_id)) return;
    if (token === "") {
      wrong.value = t.empty;
      return;
    }
    signIn(token).catch(() => (wrong.value = t.bad));
    // Also when the session ends: then the link says whether it still holds.
  }, [token, who === null]);
  const shown = who?.role === "share" ? who : null;
  return (
    <>
      <header class="bar">
        <span class="brand">
          <Logo />
          {text.product}
        </span>
        <div class="bar-end">
          <span class="quiet small">{t.shared}</span>
          <ThemeButton />
        </div>
      </header>
      <main id="main">
        {wrong.value !== null ? (
          <div class="empty">
            <h1>{wrong.value}</h1>
            <p>{t.badHint}</p>
          </div>
        ) : shown?.task_id == null ? (
          <p class="empty">{text.loading}</p>
        ) : (
          <>
            <TaskSheet key={shown.task_id} id={shown.task_id} full={false} />
            {shown.expires_ms !== null && <p class="empty small">{t.ends(shown.expires_ms)}</p>}
          </>
        )}
      </main>
    </>
  );
}
