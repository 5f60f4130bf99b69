/** The frame round all views: who is signed in, where we are, what is live. */
import { useComputed, useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, Logo } from "../parts/icons.tsx";
import { attempt, Messages } from "../parts/messages.tsx";
import { ThemeButton } from "../parts/theme-button.tsx";
import { closeFarm, farmState, openFarm } from "../lib/farm.ts";
import { messageOf } from "../lib/problem.ts";
import { match, path } from "../lib/router.ts";
import { isAdmin, loadSession, maySubmit, session, signOut } from "../lib/session.ts";
import { text } from "../text.ts";
import { Farm } from "./farm.tsx";
import { SignIn } from "./sign-in.tsx";

type Params = Record<string, string>;
type View = ComponentType<{ params: Params }>;

interface Route {
  pattern: string;
  /** The entry of the navigation that is lit. */
  nav: "farm" | "submit" | "history" | "manage" | null;
  view: View | (() => Promise<View>);
  lazy: boolean;
}

const ROUTES: readonly Route[] = [
  { pattern: "/app", nav: "farm", view: Farm, lazy: false },
  { pattern: "/app/tasks/:id", nav: "farm", view: async () => (await import("./task.tsx")).TaskView, lazy: true },
  { pattern: "/app/workers/:id", nav: "farm", view: async () => (await import("./worker.tsx")).WorkerView, lazy: true },
  { pattern: "/app/submit", nav: "submit", view: async () => (await import("./submit.tsx")).Submit, lazy: true },
  { pattern: "/app/history", nav: "history", view: async () => (await import("./history.tsx")).History, lazy: true },
  { pattern: "/app/manage", nav: "manage", view: async () => (await import("./manage.tsx")).Manage, lazy: true },
];

function routeOf(at: string): { route: Route; params: Params } | null {
  for (const route of ROUTES) {
    const params = match(route.pattern, at);
    if (params) return { route, params };
  }
  return null;
}

/** Loads a view when it is first shown; what was shown before stays until then. */
function Lazy({ load, params }: { load: () => Promise<View>; params: Params }) {
  const [loaded, setLoaded] = useState<{ load: () => Promise<View>; view: View } | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    let gone = false;
    setFailed(null);
    load().then(
      (view) => !gone && setLoaded({ load, view }),
      (thrown: unknown) => !gone && setFailed(messageOf(thrown)),
    );
    return () => {
      gone = true;
    };
  }, [load]);
  if (failed !== null) return <p class="note bad-note">{failed}</p>;
  if (loaded?.load !== load) return null;
  return <loaded.view params={params} />;
}

function Nav({ current }: { current: Route["nav"] }) {
  const entries = [
    ["farm", "/app", true],
    ["submit", "/app/submit", maySubmit.value],
    ["history", "/app/history", true],
    ["manage", "/app/manage", isAdmin.value],
  ] as const;
  return (
    <nav class="nav" aria-label={text.nav.label}>
      {entries.map(([name, href, shown]) =>
        shown ? (
          <a key={name} href={href} aria-current={current === name ? "page" : undefined}>
            {text.nav[name]}
          </a>
        ) : null,
      )}
    </nav>
  );
}

function Live() {
  const state = farmState.value;
  return (
    <span class="live" data-state={state} role="status">
      <i aria-hidden="true" />
      {text.live[state]}
    </span>
  );
}

function Signed() {
  const main = useRef<HTMLElement>(null);
  const here = useComputed(() => routeOf(path.value));
  const first = useRef(true);
  useSignalEffect(() => {
    void path.value;
    // A new view starts at its beginning for those who listen to it; not on the first load, where the browser does that.
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
    document.title = text.product;
  });
  const found = here.value;
  return (
    <>
      <a class="skip" href="#main">
        {text.skip}
      </a>
      <header class="bar">
        <a class="brand" href="/app">
          <Logo />
          {text.product}
        </a>
        <Nav current={found?.route.nav ?? null} />
        <div class="bar-end">
          <Live />
          <ThemeButton />
          <button
            type="button"
            class="button icon plain"
            aria-label={text.signIn.out}
            title={text.signIn.out}
            onClick={() => void attempt(signOut)}
          >
            <Icon name="out" />
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {found === null ? (
          <div class="empty">
            <h1>{text.notThere}</h1>
            <p>
              <a href="/app">{text.toFarm}</a>
            </p>
          </div>
        ) : found.route.lazy ? (
          <Lazy load={found.route.view as () => Promise<View>} params={found.params} />
        ) : (
          <Farm />
        )}
      </main>
    </>
  );
}

const loadShare = async (): Promise<View> => (await import("./share.tsx")).ShareView;

export function Page() {
  const [unreachable, setUnreachable] = useState<string | null>(null);
  const who = session.value;
  const sharing = path.value === "/app/share";
  const reload = (): void => {
    setUnreachable(null);
    loadSession().catch((thrown: unknown) => setUnreachable(messageOf(thrown)));
  };
  useEffect(reload, []);
  const inside = who != null && who.role !== "share" && !sharing;
  useEffect(() => {
    if (!inside) return;
    openFarm();
    return closeFarm;
  }, [inside]);
  return (
    <>
      {unreachable !== null ? (
        <main class="empty">
          <p>{unreachable}</p>
          <button type="button" class="button" onClick={reload}>
            {text.retry}
          </button>
        </main>
      ) : who === undefined ? null : sharing ? (
        <Lazy load={loadShare} params={{}} />
      ) : inside ? (
        <Signed />
      ) : (
        <SignIn />
      )}
      <Messages />
    </>
  );
}
