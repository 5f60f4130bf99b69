/** What can be said of a picture file by reading it. */

export interface PictureFacts {
  /** By the bytes, whatever the file is called; null when they are none of these. */
  format: "PNG" | "JPEG" | "EXR" | null;
  /** In pixels; null when the file does not come that far. */
  width: number | null;
  height: number | null;
  /** Why the file is not whole; null when it is, as far as was read. */
  broken: string | null;
  /** A pixel has a value that is no number (NaN) or infinite. Always false where pixels were not read. */
  notANumber: boolean;
  /** Whether all pixels have one colour; null where pixels were not read. */
  oneColour: boolean | null;
}

/**
 * Of a picture whose pixels take more bytes than this, only the structure is read: 8,192 × 8,192 at eight bytes a
 * pixel. Without the limit, a file of a few bytes could make an agent take gigabytes.
 */
export const MAX_PIXEL_BYTES = 512 * 1024 * 1024;

/** Facts about a file that is not whole. */
export function brokenPicture(
  format: PictureFacts["format"],
  broken: string,
  size: { width: number; height: number } | null = null,
): PictureFacts {
  const { width = null, height = null } = size ?? {};
  return { format, width, height, broken, notANumber: false, oneColour: null };
}

/** Facts of a file whose structure is whole. */
export function wholePicture(
  format: PictureFacts["format"],
  { width, height }: { width: number; height: number },
  pixels: Partial<Pick<PictureFacts, "notANumber" | "oneColour">> = {},
): PictureFacts {
  return { format, width, height, broken: null, notANumber: false, oneColour: null, ...pixels };
}
