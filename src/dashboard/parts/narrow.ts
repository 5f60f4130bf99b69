/**
 * Whether the window is as narrow as a phone. The same width is in the media queries of the styles.
 */
import { signal } from "@preact/signals";

const media = matchMedia("(max-width: 700px)");
export const narrow = signal(media.matches);
media.addEventListener("change", (event) => (narrow.value = event.matches));
