/** The field of one setting of a type, of the kind that its schema asks for. */
import { Field } from "../parts/controls.tsx";
import { InputOfKind } from "../parts/input.tsx";
import { text } from "../text.ts";
import { wordsOf, type SettingField } from "../upload/schema-form.ts";

interface Props {
  field: SettingField;
  value: string;
  error: string | undefined;
  onValue: (value: string) => void;
}

function hintOf(field: SettingField): string | undefined {
  if (field.description !== undefined) return field.description.replaceAll("`", "");
  if (field.kind === "list") return text.submit.isList;
  if (field.kind === "json") return text.submit.json;
  const { fallback } = field;
  const told = typeof fallback === "string" || typeof fallback === "number" || typeof fallback === "boolean";
  return told && fallback !== "" ? text.submit.defaultsTo(String(fallback)) : undefined;
}

export function SettingInput({ field, value, error, onValue }: Props) {
  const t = text.submit;
  return (
    <Field label={wordsOf(field.name)} hint={hintOf(field)} error={error}>
      {(attributes) => {
        if (field.kind === "boolean" || field.kind === "choice") {
          const choices = field.kind === "boolean" ? ["true", "false"] : field.choices;
          return (
            <select
              {...attributes}
              class="input"
              value={value}
              onChange={(event) => onValue(event.currentTarget.value)}
            >
              <option value="">{t.notSet}</option>
              {choices.map((choice) => (
                <option key={choice} value={choice}>
                  {field.kind === "boolean" ? (choice === "true" ? t.yes : t.no) : choice}
                </option>
              ))}
            </select>
          );
        }
        if (field.kind === "list" || field.kind === "json")
          return (
            <textarea
              {...attributes}
              class="input"
              rows={3}
              value={value}
              onInput={(event) => onValue(event.currentTarget.value)}
            />
          );
        const numeric = field.kind === "number" || field.kind === "integer";
        return (
          <InputOfKind
            {...attributes}
            kind={numeric ? "number" : "text"}
            step={field.kind === "integer" ? 1 : "any"}
            min={numeric ? field.minimum : undefined}
            max={numeric ? field.maximum : undefined}
            required={field.required}
            value={value}
            onInput={(event) => onValue(event.currentTarget.value)}
          />
        );
      }}
    </Field>
  );
}
