/**
 * `/types`: the compilers as a form needs them; `/tasks/{id}/plan`: the command that a task's
 * workers run.
 */
import { z } from "zod";
import { COMPILERS, findCompiler, planFor } from "../../compilers/index.ts";
import { ok } from "../../lib/result.ts";
import { frameAt, indexOfFrame, parseFrameList } from "../../protocol/frame-list.ts";
import { planQuery, taskPlanSchema, taskTypesSchema, type TaskTypes } from "../../protocol/task-type.ts";
import { callTask } from "../../rpc/stubs.ts";
import { noSuch, taskId } from "../server/path-parameters.ts";
import { defineRoute, PEOPLE, type Route } from "../server/route.ts";

const showPlan = defineRoute({
  method: "GET",
  path: "/tasks/{id}/plan",
  operationId: "showPlan",
  tag: "tasks",
  summary: "The command that workers run for one frame",
  description: "For people to read. Paths of the lease's folders are `in` and `out`; no shell is involved.",
  who: PEOPLE,
  params: { id: taskId },
  query: planQuery,
  answers: { 200: { description: "The command", schema: taskPlanSchema } },
  handle: async ({ env, id, query }) => {
    const task = await callTask(env, id, (object) => object.view());
    if (!task.ok) return task;
    const { type, parser, settings, frame_list, bound_blender } = task.value;
    const list = parseFrameList(frame_list);
    const frame = query.frame ?? (list.ok ? frameAt(list.value, 0) : undefined);
    if (!list.ok || frame === undefined || indexOfFrame(list.value, frame) < 0) return noSuch("frame");
    const version = bound_blender ?? exactBlender(type, settings);
    const { command } = planFor(type, parser, settings, [frame], query.platform, version);
    return ok({ frame, command });
  },
});

/** The minor version of Blender that a task needs exactly; undefined where it takes others. */
function exactBlender(type: string, settings: Record<string, unknown>): string | undefined {
  const need = findCompiler(type)?.describe(settings).blender ?? undefined;
  return need?.endsWith("+") ? undefined : need;
}

let types: TaskTypes | undefined;

/**
 * The list is made at the first request to an isolate, not at its start: most isolates are never
 * asked for it.
 */
const listTypes = defineRoute({
  method: "GET",
  path: "/types",
  operationId: "listTypes",
  tag: "tasks",
  summary: "Task types, with the JSON Schema of their settings",
  who: PEOPLE,
  answers: { 200: { description: "All types", schema: taskTypesSchema } },
  handle: async () => {
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
        // A rule about several settings at once has no JSON Schema; the submission applies it.
        settings: z.toJSONSchema(compiler.settings, {
          io: "input",
          unrepresentable: "any",
        }) as TaskTypes["types"][number]["settings"],
      })),
    };
    return ok(types);
  },
});

export const typeRoutes: readonly Route[] = [showPlan, listTypes];
