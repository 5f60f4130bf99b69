/** Downloads of files by their pieces. The pieces are small here: the format allows any cut. */
import { readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeManager, problem, sha256 } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { MAX_PIECE_LIST_BYTES, pieceListText, type Piece } from "../protocol/piece-list.ts";
import { downloadPieces, downloadTo, fetchPieceList } from "./download.ts";
import { ManagerClient } from "./manager-client.ts";

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;
let stored: Map<string, Buffer>;

beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
  folder = temporaryFolder("pieces");
  stored = new Map();
  manager.on("GET", /^\/assets\//, ({ path, headers }) => {
    const bytes = stored.get(path.slice(8));
    if (!bytes) return problem(404, "not_found");
    const from = Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
    return { status: from > 0 ? 206 : 200, bytes: bytes.subarray(from) };
  });
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

function piecesOf(...contents: string[]): Piece[] {
  return contents.map((content) => {
    stored.set(sha256(content), Buffer.from(content));
    return { size: content.length, sha256: sha256(content) };
  });
}

function listOf(text: string | Buffer, name = sha256(text)): string {
  stored.set(name, Buffer.from(text));
  return name;
}

const at = (name: string): string => join(folder.path, name);
const fetched = (): string[] => manager.to(/^\/assets\//).map(({ path }) => String(stored.get(path.slice(8))));

describe("a file that is fetched by its pieces", () => {
  test("is all of them in order, and appears when it is whole; the same piece may come twice", async () => {
    const pieces = piecesOf("one,", "two,", "one,", "end");
    expect(await downloadPieces(client, at("sub/f"), pieces)).toEqual({ size: 15, received: 15 });
    expect(await readFile(at("sub/f"), "utf8")).toBe("one,two,one,end");
    expect(await readdir(at("sub"))).toEqual(["f"]);
    expect(await downloadPieces(client, at("sub/f"), pieces)).toEqual({ size: 15, received: 0 });
    expect(fetched()).toHaveLength(4);
  });

  test("keeps what an earlier run left and is right, and fetches the rest", async () => {
    const pieces = piecesOf("aaaa", "bbbb", "cccc", "dd");
    for (const [left, rest] of [
      ["aaaa", ["bbbb", "cccc", "dd"]],
      ["aaaabb", ["bbbb", "cccc", "dd"]],
      ["xaaabbbbcccc", ["aaaa", "dd"]],
      ["\0\0\0\0bbbbccccdd", ["aaaa"]],
      ["aaaabbbbccccddd, and more", []],
    ] as const) {
      manager.calls.length = 0;
      await writeFile(at("f.part"), left);
      await downloadPieces(client, at("f"), pieces);
      expect(fetched().toSorted(), left).toEqual(rest);
      expect(await readFile(at("f"), "utf8")).toBe("aaaabbbbccccdd");
      await writeFile(at("f"), "spoiled");
    }
  });

  test("P11: is right whatever was left of it, in whatever pieces it is", async () => {
    const content = fc.string({ minLength: 1, maxLength: 5, unit: fc.constantFrom("a", "b", "\0") });
    const any = fc.tuple(
      fc.array(content, { minLength: 2, maxLength: 6 }),
      fc.string({ maxLength: 30, unit: fc.constantFrom("a", "b", "\0") }),
    );
    await fc.assert(
      fc.asyncProperty(any, async ([contents, left]) => {
        await writeFile(at("p.part"), left);
        await downloadPieces(client, at("p"), piecesOf(...contents));
        expect(await readFile(at("p"), "utf8")).toBe(contents.join(""));
        await writeFile(at("p"), left);
      }),
      { numRuns: 30 },
    );
  });

  test("is fetched again where its content is wrong", async () => {
    const pieces = piecesOf("aaaa", "bbbb");
    await writeFile(at("f"), "aaaabbxb");
    expect((await downloadPieces(client, at("f"), pieces)).received).toBe(8);
    expect(await readFile(at("f"), "utf8")).toBe("aaaabbbb");
  });

  test("P11: a piece with other bytes, or more or fewer of them, never becomes part of a file", async () => {
    const pieces = piecesOf("aaaa", "bbbb", "cccc");
    for (const wrong of ["bbbx", "bbbbb", "bbb", "", "b".repeat(100_000)]) {
      stored.set(pieces[1]!.sha256, Buffer.from(wrong));
      await expect(downloadPieces(client, at("f"), pieces, { retryForMs: 0 })).rejects.toMatchObject({
        code: "bad_answer",
      });
      await expect(stat(at("f"))).rejects.toThrow("ENOENT");
      expect((await stat(at("f.part"))).size).toBeLessThanOrEqual(12);
    }
    stored.set(pieces[1]!.sha256, Buffer.from("bbbb"));
    await downloadPieces(client, at("f"), pieces);
    expect(await readFile(at("f"), "utf8")).toBe("aaaabbbbcccc");
  });

  test("a piece whose connection breaks is continued, and what it had is not fetched again", async () => {
    const content = "0123456789".repeat(10_000);
    const pieces = piecesOf("first", content);
    let breaks = 0;
    manager.server.removeAllListeners("request");
    manager.server.on("request", (request, response) => {
      if (request.url === "/auth/access")
        return response.end(JSON.stringify({ access_token: "a", expires_ms: 1, expires_in_ms: 60_000 }));
      const bytes = stored.get(request.url!.slice(8))!;
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length - from });
      if (bytes.length < 10 || from > 0) return response.end(bytes.subarray(from));
      breaks++;
      response.write(bytes.subarray(0, 40_000), () => setTimeout(() => request.socket.destroy(), 20));
    });
    expect((await downloadPieces(client, at("f"), pieces)).received).toBe(100_005);
    expect(await readFile(at("f"), "utf8")).toBe(`first${content}`);
    expect(breaks).toBe(1);
  });

  test("stops as a whole when one piece is not there", async () => {
    const pieces = [...piecesOf("aaaa"), { size: 4, sha256: "f".repeat(64) }, ...piecesOf("cccc")];
    await expect(downloadPieces(client, at("f"), pieces)).rejects.toMatchObject({ status: 404 });
    await expect(stat(at("f"))).rejects.toThrow("ENOENT");
  });
});

test("P14: a download that is stopped while it looks at a half file says so, and leaves the half file", async () => {
  const large = "x".repeat(3 * 1024 * 1024);
  for (const download of [
    (signal: AbortSignal) => downloadPieces(client, at("f"), piecesOf(large, "end"), { signal }),
    (signal: AbortSignal) => downloadTo(client, at("f"), "/assets/x", { sha256: sha256(large) }, { signal }),
  ]) {
    await writeFile(at("f.part"), large);
    const stopped = new Error("stopped by a person");
    await expect(download(AbortSignal.abort(stopped))).rejects.toBe(stopped);
    expect((await readFile(at("f.part"), "utf8")) === large).toBe(true);
    await rm(at("f.part"));
  }
});

describe("a piece list", () => {
  test("P11: is used only when it is the one that was asked for, of the size that was named", async () => {
    const pieces = piecesOf("aaaa", "bb");
    const text = pieceListText(pieces);
    expect(await fetchPieceList(client, listOf(text), 6)).toEqual(pieces);
    const asked = async (sent: string, size = 6, name = sha256(sent)): Promise<string> => {
      const error = await fetchPieceList(client, listOf(sent, name), size, { retryForMs: 0 }).catch(
        (thrown: Error) => thrown,
      );
      expect(error).toMatchObject({ code: "bad_answer" });
      return (error as Error).message;
    };
    expect(await asked(text, 7)).toContain("lists 6 bytes and not 7");
    expect(await asked(text.replace("aaaa", "aaab"), 6, "e".repeat(64))).toContain("wrong hash");
    expect(await asked("not a list")).toContain("is no piece list");
    expect(await asked(text.replace("2 ", "02 "))).toContain("is no piece list");
    expect(await asked("x".repeat(MAX_PIECE_LIST_BYTES + 1))).toContain(`more than the ${MAX_PIECE_LIST_BYTES} bytes`);
  });
});
