/**
 * Tabs by the ARIA pattern: arrow keys move between them, and the Tab key stops at the chosen one
 * only.
 */
import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

interface TabsProps<T extends string> {
  label: string;
  tabs: readonly (readonly [T, string])[];
  chosen: Signal<T>;
}

export function Tabs<T extends string>({ label, tabs, chosen }: TabsProps<T>) {
  const list = useRef<HTMLDivElement>(null);
  // On a phone not all tabs have room. The list alone is scrolled: `scrollIntoView` moves the page, too.
  useEffect(() => {
    const tab = list.current?.querySelector<HTMLElement>('[aria-selected="true"]');
    if (!list.current || !tab) return;
    const [box, own] = [list.current.getBoundingClientRect(), tab.getBoundingClientRect()];
    if (own.left < box.left) list.current.scrollLeft -= box.left - own.left;
    else if (own.right > box.right) list.current.scrollLeft += own.right - box.right;
  }, [chosen.value]);
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
    <div ref={list} class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
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
