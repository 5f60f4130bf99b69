/**
 * Names of the files that frames leave. Compilers and the agent's own tool share these functions,
 * because they must agree on the names.
 */

/**
 * Formats of pictures, as the `format` field of a task has them, with the extensions of their
 * files. Blender adds these extensions itself: with another one, a rendered file would not be
 * found.
 */
export const PICTURE_EXTENSIONS = { PNG: "png", JPEG: "jpg", OPEN_EXR: "exr" } as const;
/** A format of pictures. */
export type PictureFormat = keyof typeof PICTURE_EXTENSIONS;

/**
 * A frame number as Blender writes it in place of `#`s: padded with zeros to `width` digits; the
 * sign is not one of them.
 */
function paddedFrame(frame: number, width: number): string {
  return (frame < 0 ? "-" : "") + String(Math.abs(frame)).padStart(width, "0");
}

/**
 * `frame_####.png` and 7 → `frame_0007.png`. The number replaces the last run of `#`; a name
 * without `#` stays as it is.
 */
export function nameOfFrame(pattern: string, frame: number): string {
  const end = pattern.lastIndexOf("#") + 1;
  if (end === 0) return pattern;
  let start = end;
  while (pattern[start - 1] === "#") start--;
  return pattern.slice(0, start) + paddedFrame(frame, end - start) + pattern.slice(end);
}
