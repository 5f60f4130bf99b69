/** Over every view, while something is wrong with the manager as a whole (`lib/trouble.ts`). */
import { dismissTrouble, trouble } from "../lib/trouble.ts";
import { text } from "../text.ts";

export function Banner() {
  if (trouble.value === null) return null;
  return (
    <div class="banner" role="alert">
      <p>{trouble.value}</p>
      <button type="button" class="button" onClick={dismissTrouble}>
        {text.dismiss}
      </button>
    </div>
  );
}
