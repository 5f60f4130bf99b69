/** An input whose kind is known only when it is shown; the types of JSX want one for each kind. */
import type { InputHTMLAttributes } from "preact";

export type InputKind = "text" | "number" | "date";

export function Input({ kind, ...rest }: { kind: InputKind } & Omit<InputHTMLAttributes, "type" | "list" | "role">) {
  return <input class="input" {...({ ...rest, type: kind } as object)} />;
}
