/** A row of figures: what each is, and how much. */
import type { ComponentChildren } from "preact";

export type Figure = readonly [label: string, value: ComponentChildren];

interface Props {
  figures: readonly Figure[];
  class?: string;
  label?: string;
}

export function Figures({ figures, class: more, label }: Props) {
  return (
    <dl class={more ? `figures ${more}` : "figures"} aria-label={label}>
      {figures.map(([name, value]) => (
        <div class="figure" key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
