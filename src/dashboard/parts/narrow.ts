/** Whether the window is a phone's. */
import { signal } from "@preact/signals";

const media = matchMedia("(max-width: 700px)");
export const narrow = signal(media.matches);
media.addEventListener("change", (event) => (narrow.value = event.matches));
