/**
 * Tabs by the ARIA pattern: arrow keys move between them, and the Tab key stops at the chosen one
 * only.
 */
import type { Signal } from "@preact/signals";

interface TabsProps<T extends string> {
  label: string;
  tabs: readonly (readonly [T, string])[];
  chosen: Signal<T>;
}

export function Tabs<T extends string>({ label, tabs, chosen }: TabsProps<T>) {
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLElement }): void => {
    const at = tabs.findIndex(([name]) => name === chosen.value);
    const steps: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const [name] = tabs[(to + tabs.length) % tabs.length]!;
    chosen.value = name;
    event.currentTarget.querySelector<HTMLElement>(`#tab-${name}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
      {tabs.map(([name, words]) => (
        <button
          type="button"
          role="tab"
          key={name}
          id={`tab-${name}`}
          aria-selected={chosen.value === name}
          aria-controls={chosen.value === name ? `panel-${name}` : undefined}
          tabIndex={chosen.value === name ? 0 : -1}
          onClick={() => (chosen.value = name)}
        >
          {words}
        </button>
      ))}
    </div>
  );
}
