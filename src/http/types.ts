/** `/types`: the compilers as a form needs them; `/tasks/{id}/plan`: the command that a task's workers run. */
import { z } from "zod";
import { COMPILERS, planFor } from "../compilers/index.ts";
import { frameAt, indexOfFrame, parseFrameList } from "../protocol/frame-list.ts";
import { planQuery, type TaskPlan, type TaskTypes } from "../protocol/task-type.ts";
import { json, notFound } from "./answers.ts";
import type { Handler } from "./context.ts";
import { readQuery } from "./input.ts";
import { callTask } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";

let types: TaskTypes | undefined;

/** GET /types. Made once per isolate, at the first request. */
export const listTypes: Handler = async () => {
  types ??= {
    types: COMPILERS.map((compiler) => ({
      type: compiler.type,
      aliases: [...compiler.aliases],
      summary: compiler.summary,
      parser: compiler.parser,
      programs: [...compiler.programs],
      needs_exec: compiler.needsExec,
      takes_file: compiler.takesFile,
      preset_setting: compiler.presetSettings[0] ?? null,
      makes_video: compiler.makesVideo,
      // Rules about several settings at once have no JSON Schema: the submission reports them.
      settings: z.toJSONSchema(compiler.settings, {
        io: "input",
        unrepresentable: "any",
      }) as TaskTypes["types"][number]["settings"],
    })),
  };
  return json(types);
};

/** GET /tasks/{id}/plan */
export const showPlan: Handler = async (_request, { env, params, url }) => {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(url, planQuery);
  if (!query.ok) return problemResponse(query.error);
  const task = await callTask(env, id, (object) => object.view());
  if (!task.ok) return problemResponse(task.error);
  const { type, parser, settings, frame_list } = task.value;
  const list = parseFrameList(frame_list);
  const frame = query.value.frame ?? (list.ok ? frameAt(list.value, 0) : undefined);
  if (!list.ok || frame === undefined || indexOfFrame(list.value, frame) < 0) return notFound("frame");
  const { command } = planFor(type, parser, settings, [frame], query.value.platform);
  return json({ frame, command } satisfies TaskPlan);
};
