/** Sign in with a token that is pasted. `sign-in-link.tsx` does it with the token of a link. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Field } from "../parts/controls.tsx";
import { Logo } from "../parts/icons.tsx";
import { messageOf } from "../lib/problem.ts";
import { signIn } from "../lib/session.ts";
import { text } from "../text.ts";
import { ThemeButton } from "../parts/theme-button.tsx";
import "./sign-in.css";

/** The sheet that is shown to who is not inside. */
export function DoorSheet({ children }: { children: ComponentChildren }) {
  return (
    <main class="door">
      <div class="sheet">
        <div class="door-head">
          <span class="brand">
            <Logo />
            {text.product}
          </span>
          <ThemeButton />
        </div>
        {children}
      </div>
    </main>
  );
}

export function SignIn() {
  const token = useSignal("");
  const error = useSignal<string | undefined>(undefined);
  const busy = useSignal(false);
  const enter = async (secret: string): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      await signIn(secret.trim());
    } catch (thrown) {
      error.value = messageOf(thrown);
      busy.value = false;
    }
  };
  useEffect(() => {
    document.title = `${text.signIn.title} · ${text.product}`;
  }, []);
  return (
    <DoorSheet>
      <form
        class="door-form"
        onSubmit={(event) => {
          event.preventDefault();
          void enter(token.value);
        }}
      >
        <h1>{text.signIn.title}</h1>
        <p class="quiet">{text.signIn.lead}</p>
        <Field label={text.signIn.token} error={error.value} hint={text.signIn.hint}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              type="password"
              autocomplete="current-password"
              required
              value={token.value}
              onInput={(event) => (token.value = event.currentTarget.value)}
            />
          )}
        </Field>
        <button type="submit" class="button main" disabled={busy.value}>
          {text.signIn.go}
        </button>
      </form>
    </DoorSheet>
  );
}
