/**
 * Shows what happened when something below it throws, in place of nothing. Without it, the view of an
 * error is an empty page.
 */
import type { ComponentChildren } from "preact";
import { useErrorBoundary } from "preact/hooks";
import { messageOf } from "../lib/problem.ts";
import { text } from "../text.ts";

/**
 * A boundary remembers its error. Give it a `key` of what it shows, such as the address of the view,
 * so that another view begins without it. `whole`: the children are the whole page, with its `main`.
 */
export function Boundary({ whole = false, children }: { whole?: boolean; children: ComponentChildren }) {
  // The console keeps the stack, for whoever reports the error.
  const [error] = useErrorBoundary((thrown: unknown) => console.error(thrown));
  if (error === undefined) return <>{children}</>;
  const said = (
    <div class="empty stack close" role="alert">
      <h1>{text.stopped}</h1>
      <p class="note bad-note">{messageOf(error)}</p>
      <p>{text.stoppedHint}</p>
      <div class="actions">
        <button type="button" class="button main" onClick={() => location.reload()}>
          {text.reload}
        </button>
        {/* With a target the browser itself follows the link, and loads the page anew. */}
        <a class="button" href="/app" target="_self">
          {text.toFarm}
        </a>
      </div>
    </div>
  );
  return whole ? <main>{said}</main> : said;
}
