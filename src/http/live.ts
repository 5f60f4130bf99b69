/** `/live` and `/tasks/{id}/live`: sockets that pages watch through. The objects hold them; here the viewer is named. */
import { registryStub, taskStub } from "../rpc/stubs.ts";
import { withRetry } from "../lib/retry.ts";
import { VIEWER_HEADER, type Viewer } from "../live/viewer.ts";
import { farmLiveQuery, taskLiveQuery } from "../protocol/live.ts";
import { notFound } from "./answers.ts";
import type { Handler, RequestContext } from "./context.ts";
import { readQuery } from "./input.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";
import { forwarded, refuseUpgrade } from "./upgrade.ts";

function viewerFor({ principal, untilMs }: RequestContext): string {
  const isShare = principal.role === "share";
  const viewer: Viewer = {
    token: isShare ? null : principal.id,
    share: isShare ? principal.id : null,
    untilMs,
  };
  return JSON.stringify(viewer);
}

/** GET /live */
export const watchFarm: Handler = async (request, context) => {
  const refused = refuseUpgrade(request, context.url);
  if (refused) return refused;
  const query = readQuery(context.url, farmLiveQuery);
  if (!query.ok) return problemResponse(query.error);
  const upgrade = forwarded(request, VIEWER_HEADER, viewerFor(context));
  return await withRetry(() => registryStub(context.env).fetch(new Request(upgrade)));
};

/** GET /tasks/{id}/live */
export const watchTask: Handler = async (request, context) => {
  const id = idFrom(context.params["id"]);
  if (id === null) return notFound("task");
  const refused = refuseUpgrade(request, context.url);
  if (refused) return refused;
  const query = readQuery(context.url, taskLiveQuery);
  if (!query.ok) return problemResponse(query.error);
  if (query.value.log && context.principal.role === "share")
    return problemResponse({ code: "forbidden", detail: "A share link shows no log." });
  const upgrade = forwarded(request, VIEWER_HEADER, viewerFor(context));
  return await withRetry(() => taskStub(context.env, id).fetch(new Request(upgrade)));
};
