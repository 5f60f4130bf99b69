/**
 * A task's definition as the Worker compiles it from a submission, for tests that call the objects
 * themselves.
 */
import { compileSubmission, needsOf } from "../../src/compilers/index.ts";
import { formatFrameList } from "../../src/protocol/frame-list.ts";
import type { TaskDefinition } from "../../src/rpc/task.ts";

/** What is not in `over` has its default. Throws when the settings are refused. */
export function definitionOf(
  type: string,
  settings: Record<string, unknown>,
  over: Partial<TaskDefinition> & Pick<TaskDefinition, "id">,
): TaskDefinition {
  const compiled = compileSubmission({ type, settings });
  if (!compiled.ok) throw new Error(compiled.error.detail);
  const { description } = compiled.value;
  return {
    type: compiled.value.type,
    parser: compiled.value.parser,
    settings: compiled.value.settings,
    frame_list: formatFrameList(description.frames),
    format: description.format,
    needs: needsOf(compiled.value, []),
    input_task: description.inputTask,
    files_per_frame: description.filesPerFrame,
    strict: description.strict === true,
    priority: 50,
    name: "",
    owner: "admin",
    task_id: null,
    chunk: 1,
    order: "ascending",
    depends_on: [],
    lease_ms: 60_000,
    tries: 3,
    paused: false,
    ...over,
  };
}
