/** Previews that were fetched: decoded, the most recently used kept. */

const KEPT = 240;

export class PreviewStore {
  readonly #taskId: number;
  readonly #images = new Map<number, Promise<HTMLImageElement | null>>();
  readonly #attempts = new Map<number, number>();
  #closed = false;

  constructor(taskId: number) {
    this.#taskId = taskId;
  }

  /** The frame's preview; null when there is none (any more). */
  async get(frame: number): Promise<HTMLImageElement | null> {
    const known = this.#images.get(frame);
    if (known) {
      // Used last: moved to the end.
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

  /** The frame has changed: its picture is another one now. */
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
    // With its attempt the address never means another picture, and the browser may keep it.
    image.src = `/tasks/${this.#taskId}/frames/${frame}/preview${attempt === undefined ? "" : `?a=${attempt}`}`;
    try {
      await image.decode();
      return image;
    } catch {
      return null;
    }
  }
}
