/**
 * The frame around all views: navigation, the state of the live connection, and the view of the
 * current address.
 */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Banner } from "../parts/banner.tsx";
import { Boundary } from "../parts/boundary.tsx";
import { Icon, Logo } from "../parts/icons.tsx";
import { attempt, Messages } from "../parts/messages.tsx";
import { ThemeButton } from "../parts/theme-button.tsx";
import { closeFarm, farmState, openFarm } from "../lib/farm.ts";
import { isReplaced, loadPart } from "../lib/page-version.ts";
import { messageOf } from "../lib/problem.ts";
import { go, match, path } from "../lib/router.ts";
import { isAdmin, loadSession, maySubmit, session, signOut } from "../lib/session.ts";
import { linkToken, SIGN_IN } from "../lib/sign-in-link.ts";
import { text } from "../text.ts";
import { Farm } from "./farm.tsx";
import { SignIn } from "./sign-in.tsx";
import { SignInLink } from "./sign-in-link.tsx";

type Params = Record<string, string>;
type View = ComponentType<{ params: Params }>;
type LoadView = () => Promise<View>;

/** An address pattern, the entry of the navigation that is marked there, and the view. */
type Route = { pattern: string; nav: "farm" | "submit" | "history" | "manage" } & (
  | { view: View }
  /** The view is a script of its own, loaded when the view is first shown. */
  | { load: LoadView }
);

const ROUTES: readonly Route[] = [
  { pattern: "/app", nav: "farm", view: Farm },
  { pattern: "/app/tasks/:id", nav: "farm", load: async () => (await import("./task.tsx")).TaskView },
  { pattern: "/app/workers/:id", nav: "farm", load: async () => (await import("./worker.tsx")).WorkerView },
  { pattern: "/app/submit", nav: "submit", load: async () => (await import("./submit.tsx")).Submit },
  { pattern: "/app/history", nav: "history", load: async () => (await import("./history.tsx")).History },
  { pattern: "/app/manage", nav: "manage", load: async () => (await import("./manage.tsx")).Manage },
];
const loadShare: LoadView = async () => (await import("./share.tsx")).ShareView;

function routeAt(address: string): { route: Route; params: Params } | null {
  for (const route of ROUTES) {
    const params = match(route.pattern, address);
    if (params) return { route, params };
  }
  return null;
}

/**
 * A view that is loaded when it is first shown. Nothing is shown until then. When its file is gone
 * because of a deploy, the page is loaded again (`loadPart`).
 */
function Lazy({ load, params }: { load: LoadView; params: Params }) {
  const loaded = useSignal<{ by: LoadView; view: View } | null>(null);
  const failed = useSignal<string | null>(null);
  useEffect(() => {
    let gone = false;
    failed.value = null;
    loadPart(load).then(
      (view) => {
        if (!gone) loaded.value = { by: load, view };
      },
      async (thrown: unknown) => {
        const words = (await isReplaced()) ? text.newerPage : messageOf(thrown);
        if (!gone) failed.value = words;
      },
    );
    return () => {
      gone = true;
    };
  }, [load]);
  if (failed.value !== null)
    return (
      <div class="empty">
        <h1>{failed.value}</h1>
        {/* A browser remembers that a script failed to load, so only a new page tries again. */}
        <button type="button" class="button" onClick={() => location.reload()}>
          {text.reload}
        </button>
      </div>
    );
  if (loaded.value?.by !== load) return null;
  return <loaded.value.view params={params} />;
}

function Nav({ current }: { current: Route["nav"] | null }) {
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

function LiveState() {
  const state = farmState.value;
  return (
    <span class="live" data-state={state} role="status">
      <i aria-hidden="true" />
      {text.live[state]}
    </span>
  );
}

function SignedIn() {
  const main = useRef<HTMLElement>(null);
  const here = useComputed(() => routeAt(path.value));
  const first = useRef(true);
  useSignalEffect(() => {
    void path.value;
    // Screen readers start at the beginning of a new view. On the first load the browser does that.
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
          <LiveState />
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
        <Boundary key={path.value}>
          {found === null ? (
            <div class="empty">
              <h1>{text.notThere}</h1>
              <p>
                <a href="/app">{text.toFarm}</a>
              </p>
            </div>
          ) : "load" in found.route ? (
            <Lazy load={found.route.load} params={found.params} />
          ) : (
            <found.route.view params={found.params} />
          )}
        </Boundary>
      </main>
    </>
  );
}

export function Page() {
  return (
    <>
      <Boundary whole>
        <Inside />
      </Boundary>
      <Messages />
    </>
  );
}

/** What a visitor sees: a share link, the farm when signed in, or else the form for that. */
function Inside() {
  const unreachable = useSignal<string | null>(null);
  const who = session.value;
  const link = linkToken.value;
  const sharing = path.value === "/app/share";
  const reload = (): void => {
    unreachable.value = null;
    loadSession().catch((thrown: unknown) => (unreachable.value = messageOf(thrown)));
  };
  useEffect(reload, []);
  const inside = who != null && who.role !== "share" && !sharing;
  const nothingToAsk = inside && link === null && path.value === SIGN_IN;
  useEffect(() => {
    if (nothingToAsk) go("/app", true);
  }, [nothingToAsk]);
  useEffect(() => {
    if (!inside) return;
    openFarm();
    return closeFarm;
  }, [inside]);
  return (
    <>
      <Banner />
      {unreachable.value !== null ? (
        <main class="empty">
          <p>{unreachable.value}</p>
          <button type="button" class="button" onClick={reload}>
            {text.retry}
          </button>
        </main>
      ) : who === undefined ? null : link !== null ? (
        <SignInLink key={link} token={link} />
      ) : sharing ? (
        <Lazy load={loadShare} params={{}} />
      ) : inside ? (
        <SignedIn />
      ) : (
        <SignIn />
      )}
    </>
  );
}
