/** Sign in with a token. The link that `npm start` prints has the token after its `#`. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Field } from "../parts/controls.tsx";
import { Logo } from "../parts/icons.tsx";
import { messageOf } from "../lib/problem.ts";
import { go, path } from "../lib/router.ts";
import { signIn } from "../lib/session.ts";
import { text } from "../text.ts";
import { ThemeButton } from "../parts/theme-button.tsx";
import "./sign-in.css";

export function SignIn() {
  const token = useSignal("");
  const error = useSignal<string | undefined>(undefined);
  const busy = useSignal(false);
  const enter = async (secret: string): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      await signIn(secret.trim());
      if (path.value === "/app/sign-in") go("/app", true);
    } catch (thrown) {
      error.value = messageOf(thrown);
      busy.value = false;
    }
  };
  useEffect(() => {
    document.title = `${text.signIn.title} · ${text.product}`;
    const inLink = path.value === "/app/sign-in" ? location.hash.slice(1) : "";
    if (inLink === "") return;
    // The token must not stay in the address bar or in the browser's history.
    history.replaceState(null, "", "/app/sign-in");
    void enter(inLink);
  }, []);
  return (
    <main class="door">
      <form
        class="sheet"
        onSubmit={(event) => {
          event.preventDefault();
          void enter(token.value);
        }}
      >
        <div class="door-head">
          <span class="brand">
            <Logo />
            {text.product}
          </span>
          <ThemeButton />
        </div>
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
    </main>
  );
}
