/** An input whose kind is known only when it is shown; the types of JSX want one for each kind. */
import type { InputHTMLAttributes } from "preact";

export type InputKind = "text" | "number" | "date";

type Props = { kind: InputKind; list?: string | undefined } & Omit<InputHTMLAttributes, "type" | "list" | "role">;

export function Input({ kind, ...rest }: Props) {
  return <input class="input" {...({ ...rest, type: kind } as object)} />;
}
