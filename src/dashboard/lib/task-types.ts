/** The task types that the manager knows, for views that depend on what a type takes or makes. */
import { signal } from "@preact/signals";
import type { TaskTypes } from "../../protocol/task-type.ts";
import { get } from "./api.ts";

/** The part of JSON Schema that the settings of task types use. */
export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  not?: unknown;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

/** One entry of `GET /types`, with the part of its settings' schema that a form uses. */
type TaskType = Omit<TaskTypes["types"][number], "settings"> & { settings: JsonSchema };

/** In the order in which a form offers them; null until they have been read. */
export const taskTypes = signal<readonly TaskType[] | null>(null);

/** Read the types from the manager. Throws `ApiError`. */
export async function loadTaskTypes(): Promise<void> {
  taskTypes.value = (await get<{ types: TaskType[] }>("/types")).types;
}

/**
 * Whether the result of a task of this type is one video file; false until the types have been
 * read.
 */
export function makesVideo(type: string): boolean {
  return taskTypes.value?.some((known) => known.type === type && known.makes_video) ?? false;
}
