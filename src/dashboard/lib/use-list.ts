/** A list that is read when its view opens, and again after the view has changed it. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "./api.ts";
import { messageOf } from "./problem.ts";

export interface ListState<T> {
  value: T | null;
  /** Why the last read failed. */
  wrong: string | null;
  reload: () => void;
}

/** Read `path` of the API, and again whenever it changes. */
export function useList<T>(path: string): ListState<T> {
  const value = useSignal<T | null>(null);
  const wrong = useSignal<string | null>(null);
  const reload = (): void => {
    get<T>(path).then(
      (answer) => {
        value.value = answer;
        wrong.value = null;
      },
      (thrown: unknown) => (wrong.value = messageOf(thrown)),
    );
  };
  useEffect(reload, [path]);
  return { value: value.value, wrong: wrong.value, reload };
}
