/**
 * The light and the dark theme: the system's choice, unless the viewer chose the other one in this
 * browser.
 */
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

/**
 * Switch to the other theme. When that is the system's theme, the choice is deleted, so that the
 * page follows the system again.
 */
export function toggleTheme(): void {
  const next: Theme = theme.value === "dark" ? "light" : "dark";
  chosen.value = next === systemTheme.value ? null : next;
  try {
    if (chosen.value === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen.value);
  } catch {
    // Without storage (a private window) the choice lasts until the page is closed.
  }
}

export function startTheme(): void {
  system.addEventListener("change", (event) => (systemTheme.value = event.matches ? "dark" : "light"));
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}

/** A colour of `tokens.css` in a form that a canvas takes. Read it again when `theme` changes. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
