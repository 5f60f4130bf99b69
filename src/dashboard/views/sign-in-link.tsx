/**
 * The question of a sign-in link: whose token it has, and whether to sign in with it. Without the
 * question, a link of somebody else would make the viewer work in that person's name.
 */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Session } from "../../protocol/session.ts";
import { messageOf } from "../lib/problem.ts";
import { go } from "../lib/router.ts";
import { holderOf, isSamePerson, session, signIn } from "../lib/session.ts";
import { linkToken } from "../lib/sign-in-link.ts";
import { text } from "../text.ts";
import { DoorSheet } from "./sign-in.tsx";

/** Who holds a token, for people: `ana (artist)`. */
function personOf({ role, name }: Session): string {
  return name === "" || name === role ? role : `${name} (${role})`;
}

export function SignInLink({ token }: { token: string }) {
  const t = text.signIn;
  const holder = useSignal<Session | null>(null);
  const wrong = useSignal<string | null>(null);
  const busy = useSignal(false);
  const now = session.value?.role === "share" ? null : (session.value ?? null);
  const leave = (): void => {
    linkToken.value = null;
    go("/app", true);
  };
  const enter = async (): Promise<void> => {
    busy.value = true;
    try {
      await signIn(token);
      leave();
    } catch (thrown) {
      wrong.value = messageOf(thrown);
      busy.value = false;
    }
  };
  const ask = async (): Promise<void> => {
    wrong.value = null;
    try {
      const found = await holderOf(token);
      if (found.role === "share") {
        linkToken.value = null;
        go(`/app/share#${token}`, true);
      } else if (now && isSamePerson(now, found)) await enter();
      else holder.value = found;
    } catch (thrown) {
      wrong.value = messageOf(thrown);
    }
  };
  useEffect(() => {
    document.title = `${t.title} · ${text.product}`;
    void ask();
  }, []);
  const who = holder.value && personOf(holder.value);
  return (
    <DoorSheet>
      {wrong.value !== null ? (
        <>
          <h1>{t.linkFails}</h1>
          <p class="note bad-note" role="alert">
            {wrong.value}
          </p>
          <div class="actions">
            <button type="button" class="button" onClick={() => void ask()}>
              {text.retry}
            </button>
            <button type="button" class="button" onClick={leave}>
              {now ? t.stay(personOf(now)) : t.otherToken}
            </button>
          </div>
        </>
      ) : who === null ? (
        <p class="quiet">{text.loading}</p>
      ) : (
        <>
          <h1>{t.linkTitle(who)}</h1>
          <p>{now ? t.linkInstead(personOf(now), who) : t.linkLead(who)}</p>
          <p class="quiet">{t.linkHint}</p>
          <div class="actions">
            <button type="button" class="button main" disabled={busy.value} onClick={() => void enter()}>
              {t.linkGo(who)}
            </button>
            <button type="button" class="button" disabled={busy.value} onClick={leave} autofocus>
              {now ? t.stay(personOf(now)) : t.otherToken}
            </button>
          </div>
        </>
      )}
    </DoorSheet>
  );
}
