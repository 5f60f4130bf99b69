/** A cache of decoded previews, of which the most recently used are kept. */

/**
 * Previews that are kept: ten seconds of a film. 240 decoded pictures of 320 pixels are about 50
 * MB.
 */
const KEPT = 240;

export class PreviewStore {
  readonly #taskId: number;
  readonly #images = new Map<number, Promise<HTMLImageElement | null>>();
  readonly #attempts = new Map<number, number>();
  #closed = false;

  constructor(taskId: number) {
    this.#taskId = taskId;
  }

  /** The preview of a frame; null when the frame has none or the store is closed. */
  async get(frame: number): Promise<HTMLImageElement | null> {
    const known = this.#images.get(frame);
    if (known) {
      // A map keeps the order of insertion: the most recently used entry moves to the end.
      this.#images.delete(frame);
      this.#images.set(frame, known);
      return await known;
    }
    const wanted = this.#load(frame);
    this.#images.set(frame, wanted);
    if (this.#images.size > KEPT) this.#images.delete(this.#images.keys().next().value!);
    const image = await wanted;
    if (image === null) this.#images.delete(frame);
    return this.#closed ? null : image;
  }

  /**
   * Delete the preview of a frame that has changed. `attempt` is the attempt that made the new one.
   */
  forget(frame: number, attempt: number | null): void {
    this.#images.delete(frame);
    if (attempt === null) this.#attempts.delete(frame);
    else this.#attempts.set(frame, attempt);
  }

  close(): void {
    this.#closed = true;
    this.#images.clear();
  }

  async #load(frame: number): Promise<HTMLImageElement | null> {
    const image = new Image();
    const attempt = this.#attempts.get(frame);
    // With the attempt in it, an address stands for one picture for ever, and the browser may cache
    // it.
    image.src = `/tasks/${this.#taskId}/frames/${frame}/preview${attempt === undefined ? "" : `?a=${attempt}`}`;
    try {
      await image.decode();
      return image;
    } catch {
      return null;
    }
  }
}
