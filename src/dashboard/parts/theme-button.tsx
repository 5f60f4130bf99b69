/** Switches between the light and the dark theme. */
import { theme, toggleTheme } from "../lib/theme.ts";
import { text } from "../text.ts";
import { Icon } from "./icons.tsx";

export function ThemeButton() {
  const next = theme.value === "dark" ? "light" : "dark";
  return (
    <button
      type="button"
      class="button icon plain"
      onClick={toggleTheme}
      aria-label={text.theme[next]}
      title={text.theme[next]}
    >
      <Icon name={next === "dark" ? "moon" : "sun"} />
    </button>
  );
}
