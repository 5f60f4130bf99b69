/** An input whose kind is a property. The types of JSX want a constant kind for each input. */
import type { InputHTMLAttributes } from "preact";

export type InputKind = "text" | "number" | "date" | "url";

type Props = { kind: InputKind; list?: string | undefined } & Omit<InputHTMLAttributes, "type" | "list" | "role">;

export function InputOfKind({ kind, ...rest }: Props) {
  return <input class="input" {...({ ...rest, type: kind } as object)} />;
}
