/** The view of a share link: one task, which can be seen and not changed. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fromBase64Url } from "../../lib/bytes.ts";
import type { ShareClaims } from "../../protocol/share.ts";
import { ApiError, messageOf } from "../lib/problem.ts";
import { go } from "../lib/router.ts";
import { session, signIn } from "../lib/session.ts";
import { Logo } from "../parts/icons.tsx";
import { text } from "../text.ts";
import { ThemeButton } from "../parts/theme-button.tsx";
import { TaskSheet } from "./task.tsx";

/**
 * What the token of a link says: its task, and when the link ends; null when it is no such token. The
 * first part of the token is readable; the second is the signature, which the manager checks.
 */
function claimsOf(token: string): Pick<ShareClaims, "task" | "exp_ms"> | null {
  try {
    const bytes = fromBase64Url(token.split(".")[0]!);
    const claims = bytes && (JSON.parse(new TextDecoder().decode(bytes)) as Partial<ShareClaims> | null);
    if (typeof claims?.task !== "number" || typeof claims.exp_ms !== "number") return null;
    return { task: claims.task, exp_ms: claims.exp_ms };
  } catch {
    return null;
  }
}

export function ShareView() {
  const t = text.share;
  const wrong = useSignal<string | null>(null);
  /** The manager did not answer, which says nothing about the link. */
  const unanswered = useSignal<string | null>(null);
  const who = session.value;
  const token = location.hash.slice(1);
  const claims = claimsOf(token);
  const enter = (): void => {
    unanswered.value = null;
    signIn(token).catch((thrown: unknown) => {
      const status = thrown instanceof ApiError ? thrown.status : 0;
      if (status >= 400 && status < 500 && status !== 429) wrong.value = t.bad;
      else unanswered.value = messageOf(thrown);
    });
  };
  useEffect(() => {
    const task = claims?.task ?? null;
    // A person who is signed in may see more than the link shows, and must stay signed in.
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
    enter();
    // The effect runs again when the session ends: signing in anew shows whether the link is still
    // valid.
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
        ) : unanswered.value !== null ? (
          <div class="empty">
            <p>{unanswered.value}</p>
            <button type="button" class="button" onClick={enter}>
              {text.retry}
            </button>
          </div>
        ) : shown?.task_id == null ? (
          <p class="empty">{text.loading}</p>
        ) : (
          <>
            <TaskSheet key={shown.task_id} id={shown.task_id} full={false} />
            {/* The link's end. The session's is earlier: it is renewed by the link. */}
            {claims?.task === shown.task_id && <p class="empty small">{t.ends(claims.exp_ms)}</p>}
          </>
        )}
      </main>
    </>
  );
}
