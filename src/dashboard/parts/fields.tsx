/** Labelled inputs whose text is a signal. */
import type { Signal } from "@preact/signals";
import type { InputHTMLAttributes } from "preact";
import { Field } from "./controls.tsx";
import { InputOfKind, type InputKind } from "./input.tsx";

interface FieldProps {
  label: string;
  value: Signal<string>;
  hint?: string | undefined;
  error?: string | undefined;
}

type TextFieldProps = FieldProps & { kind?: InputKind } & Pick<
    InputHTMLAttributes,
    "class" | "required" | "placeholder" | "maxLength" | "min"
  >;

/** A field for one line of text, or for a number, a date or an address. */
export function TextField({ label, value, hint, error, kind = "text", ...attributes }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(about) => (
        <InputOfKind
          {...about}
          {...attributes}
          kind={kind}
          value={value.value}
          onInput={(event) => (value.value = event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** A choice among values. `choices` are pairs of a value and the text to show for it. */
export function SelectField({
  label,
  value,
  hint,
  error,
  choices,
}: FieldProps & { choices: readonly (readonly [value: string, words: string])[] }) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(about) => (
        <select
          {...about}
          class="input"
          value={value.value}
          onChange={(event) => (value.value = event.currentTarget.value)}
        >
          {choices.map(([choice, words]) => (
            <option key={choice} value={choice}>
              {words}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
