/** The door: a token is traded for a session. A link of `npm start` brings the token after its `#`. */
import { useEffect, useState } from "preact/hooks";
import { Field } from "../parts/controls.tsx";
import { Logo } from "../parts/icons.tsx";
import { messageOf } from "../lib/problem.ts";
import { go, path } from "../lib/router.ts";
import { signIn } from "../lib/session.ts";
import { text } from "../text.ts";
import { ThemeButton } from "../parts/theme-button.tsx";
import "./sign-in.css";

export function SignIn() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const enter = async (secret: string): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      await signIn(secret.trim());
      if (path.value === "/app/sign-in") go("/app", true);
    } catch (thrown) {
      setError(messageOf(thrown));
      setBusy(false);
    }
  };
  useEffect(() => {
    document.title = `${text.signIn.title} · ${text.product}`;
    const brought = path.value === "/app/sign-in" ? location.hash.slice(1) : "";
    if (brought === "") return;
    // Out of the address bar and the history at once.
    history.replaceState(null, "", "/app/sign-in");
    void enter(brought);
  }, []);
  return (
    <main class="door">
      <form
        class="sheet"
        onSubmit={(event) => {
          event.preventDefault();
          void enter(token);
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
        <Field label={text.signIn.token} error={error} hint={text.signIn.hint}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              type="password"
              autocomplete="current-password"
              required
              value={token}
              onInput={(event) => setToken(event.currentTarget.value)}
            />
          )}
        </Field>
        <button type="submit" class="button main" disabled={busy}>
          {text.signIn.go}
        </button>
      </form>
    </main>
  );
}
