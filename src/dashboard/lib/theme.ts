/** Light and dark: the system's wish, unless this browser was told otherwise. */
import { computed, effect, signal } from "@preact/signals";

const KEY = "tablao-theme";
type Theme = "light" | "dark";

const system = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = signal<Theme>(system.matches ? "dark" : "light");
const chosen = signal<Theme | null>(readChoice());

function readChoice(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null;
  }
}

export const theme = computed<Theme>(() => chosen.value ?? systemTheme.value);

/** The other one. Chosen the same as the system's, the choice is forgotten, and the system leads again. */
export function toggleTheme(): void {
  const next: Theme = theme.value === "dark" ? "light" : "dark";
  chosen.value = next === systemTheme.value ? null : next;
  try {
    if (chosen.value === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen.value);
  } catch {
    // A browser that keeps nothing: the choice lasts as long as this page.
  }
}

export function startTheme(): void {
  system.addEventListener("change", (event) => (systemTheme.value = event.matches ? "dark" : "light"));
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}

/** A colour of `tokens.css` as canvas wants it. Read it again when `theme` changes. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
