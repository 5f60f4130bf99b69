import { afterEach, describe, expect, test, vi } from "vitest";
import { refusal } from "../../../test/support/refusals.ts";
import type { TaskFile } from "./list-files.ts";
import { FileSaver, type Saved, type SaveProgress } from "./save-files.ts";

/** Writing a file of this name finds the disk full. */
const NO_ROOM = "no_room.png";

/** A folder in memory, with the part of the browser's interface that is used. */
class Folder {
  readonly files = new Map<string, { bytes: Uint8Array<ArrayBuffer>; lastModified: number }>();
  readonly folders = new Map<string, Folder>();

  async getDirectoryHandle(name: string): Promise<Folder> {
    if (!this.folders.has(name)) this.folders.set(name, new Folder());
    return this.folders.get(name)!;
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<object> {
    if (name.includes(":")) throw new TypeError("Name is not allowed.");
    if (!this.files.has(name)) {
      if (!create) throw new DOMException("A file could not be found.", "NotFoundError");
      this.put(name, "");
    }
    return {
      getFile: async () => {
        const { bytes, lastModified } = this.files.get(name)!;
        return { size: bytes.length, lastModified };
      },
      createWritable: async () => new Writable((bytes) => this.put(name, bytes), name === NO_ROOM),
    };
  }

  async removeEntry(name: string): Promise<void> {
    this.files.delete(name);
  }

  put(name: string, content: string | Uint8Array<ArrayBuffer>, lastModified = Date.now()): void {
    const bytes = typeof content === "string" ? Uint8Array.from(new TextEncoder().encode(content)) : content;
    this.files.set(name, { bytes, lastModified });
  }

  /** The texts of the files by their paths. */
  texts(): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const [name, { bytes }] of this.files) texts[name] = new TextDecoder().decode(bytes);
    for (const [folder, below] of this.folders)
      for (const [path, text] of Object.entries(below.texts())) texts[`${folder}/${path}`] = text;
    return texts;
  }
}

/** Like the browser's: what is written appears when it is closed. */
class Writable {
  #bytes = new Uint8Array(0);
  #at = 0;
  readonly #done: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #full: boolean;

  constructor(done: (bytes: Uint8Array<ArrayBuffer>) => void, full: boolean) {
    this.#done = done;
    this.#full = full;
  }

  async seek(at: number): Promise<void> {
    this.#at = at;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#full) throw new DOMException("No room.", "QuotaExceededError");
    const bytes = new Uint8Array(Math.max(this.#bytes.length, this.#at + chunk.length));
    bytes.set(this.#bytes);
    bytes.set(chunk, this.#at);
    this.#bytes = bytes;
    this.#at += chunk.length;
  }

  async close(): Promise<void> {
    this.#done(this.#bytes);
  }

  async abort(): Promise<void> {
    this.#bytes = new Uint8Array(0);
  }
}

const CONTENT = "0123456789";
const TAG = "ab".repeat(32);

function fileOf(frame: number, name: string, more: Partial<TaskFile> = {}): TaskFile {
  return { frame, name, size: CONTENT.length, sha256: TAG, attempt: 1, committed_ms: 1_000, ...more };
}

type Answers = (path: string, range: string | null, signal: AbortSignal | null) => Response | Promise<Response>;

/** Answer requests; returns those that were made. */
function answer(answers: Answers): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    const range = new Headers(init.headers).get("Range");
    asked.push(range === null ? path : `${path} ${range}`);
    return await answers(path, range, init.signal ?? null);
  });
  return asked;
}

/** The content from a byte on, as the manager answers it. With `breakAt`, the answer breaks off there. */
function content(range: string | null, breakAt?: number, etag = `"${TAG}"`): Response {
  const from = Number(/bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0);
  let sent = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (!sent) controller.enqueue(new TextEncoder().encode(CONTENT.slice(from, breakAt)));
      else if (breakAt === undefined) controller.close();
      else controller.error(new TypeError("network error"));
      sent = true;
    },
  });
  return new Response(body, { status: range === null ? 200 : 206, headers: { ETag: etag } });
}

function save(
  folder: Folder,
  files: readonly TaskFile[],
  show: (now: SaveProgress) => void = () => undefined,
): Promise<Saved> {
  return new FileSaver(show).save(folder as unknown as FileSystemDirectoryHandle, 7, files);
}

afterEach(() => vi.unstubAllGlobals());

describe("files saved into a folder", () => {
  test("appear under their names; two of one name are kept apart", async () => {
    const asked = answer((_, range) => content(range));
    const folder = new Folder();
    const files = [fileOf(1, "a.png"), fileOf(2, "b.png"), fileOf(3, "a.png")];
    const progress: SaveProgress[] = [];
    expect(await save(folder, files, (now) => progress.push(now))).toEqual({ saved: 3, present: 0, failures: [] });
    expect(folder.texts()).toEqual({ "a.png": CONTENT, "b.png": CONTENT, "3/a.png": CONTENT });
    expect(asked.toSorted()).toEqual([1, 2, 3].map((frame) => `/tasks/7/frames/${frame}/file`));
    expect(progress.at(-1)).toEqual({ done: 30, total: 30, files: 3, retrying: false });
  });

  test("are left alone when they have the size and are newer than their commit", async () => {
    const asked = answer((_, range) => content(range));
    const folder = new Folder();
    folder.put("there.png", "9876543210", 1_000);
    folder.put("older.png", "9876543210", 999);
    folder.put("shorter.png", "987654321");
    const files = ["there.png", "older.png", "shorter.png"].map((name, index) => fileOf(index, name));
    expect(await save(folder, files)).toEqual({ saved: 2, present: 1, failures: [] });
    expect(asked).toHaveLength(2);
    expect(folder.texts()).toEqual({ "there.png": "9876543210", "older.png": CONTENT, "shorter.png": CONTENT });
  });

  test("continue where an answer broke off, and begin again where the manager sends all of it", async () => {
    const breaks = [3, 7];
    const asked = answer((_, range) => content(range, breaks.shift()));
    const folder = new Folder();
    expect(await save(folder, [fileOf(1, "a.png")])).toMatchObject({ saved: 1 });
    expect(asked.map((one) => one.split(" ")[1])).toEqual([undefined, "bytes=3-", "bytes=7-"]);
    expect(folder.texts()).toEqual({ "a.png": CONTENT });

    let answers = 0;
    answer(() => content(null, answers++ === 0 ? 4 : undefined));
    expect(await save(folder, [fileOf(1, "b.png")])).toMatchObject({ saved: 1 });
    expect(folder.texts()).toEqual({ "a.png": CONTENT, "b.png": CONTENT });
  });

  test("that cannot be saved are named and leave nothing; the others are saved", async () => {
    const folder = new Folder();
    folder.put("changed.png", "before", 1);
    answer((path, range) => {
      if (path.includes("/frames/1/")) return content(range, undefined, '"another hash"');
      if (path.includes("/frames/2/")) return refusal("not_found", "Gone.");
      return content(range);
    });
    const files = [fileOf(1, "changed.png"), fileOf(2, "gone.png"), fileOf(3, "a:b.png"), fileOf(4, "good.png")];
    const { saved, failures } = await save(folder, files);
    expect(saved).toBe(1);
    expect(failures.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual([
      { path: "a:b.png", reason: "Name is not allowed." },
      { path: "changed.png", reason: "It was rendered again meanwhile." },
      { path: "gone.png", reason: "Gone." },
    ]);
    expect(folder.texts()).toEqual({ "changed.png": "before", "good.png": CONTENT });
  });

  test("end with the first failure that all have in common: a full disk, a session that is over", async () => {
    const files = [fileOf(1, NO_ROOM), ...Array.from({ length: 50 }, (_, index) => fileOf(index + 2, `${index}.png`))];
    const folder = new Folder();
    const asked = answer((_, range) => content(range));
    await expect(save(folder, files)).rejects.toThrow("No room.");
    expect(asked.length).toBeLessThan(20);
    expect(folder.files.has(NO_ROOM)).toBe(false);
    answer(() => refusal("unauthorized", "Sign in."));
    await expect(save(folder, files)).rejects.toThrow("Sign in.");
  });

  test("leave nothing half written when they are stopped", async () => {
    const folder = new Folder();
    const held = Promise.withResolvers<void>();
    answer(async (_, __, signal) => {
      held.resolve();
      return await new Promise((_resolve, reject) =>
        signal?.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    });
    const saver = new FileSaver(() => undefined);
    const saving = saver.save(folder as unknown as FileSystemDirectoryHandle, 7, [fileOf(1, "a.png")]);
    await held.promise;
    saver.stop();
    await expect(saving).rejects.toMatchObject({ name: "AbortError" });
    expect(folder.texts()).toEqual({});
  });
});
