/**
 * Outputs of more than one part whose agent names the list of the parts: nothing is read to assemble
 * them, and the SHA-256 of the whole is the word of the worker.
 */
import { createExecutionContext } from "cloudflare:test";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { archiveOf } from "../../src/files/archive/archive.ts";
import { verifyReceipt, signGrant } from "../../src/files/grant.ts";
import { assemble, storePart, type Whole } from "../../src/files/parts.ts";
import { assembleOutput, putOutputPart } from "../../src/http/routes/outputs.ts";
import { answerContent } from "../../src/http/stored-content.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import { PART_BYTES } from "../../src/protocol/file.ts";
import { piecesOfParts, pieceListText } from "../../src/protocol/piece-list.ts";
import { env, GRANT, keys, post, problem, put, SECRET, sha256, text, WORKER } from "./files-call.ts";

const SIZE = PART_BYTES + 1_003;
const bytes = new Uint8Array(SIZE);
const LIE = "e".repeat(64);
let right = "";
let hashes: string[] = [];
let list = "";
let names = 0;
let target = "";

beforeAll(async () => {
  for (let at = 0; at < SIZE; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(SIZE, at + 65_536)));
  right = await sha256(bytes);
  hashes = await Promise.all([bytes.slice(0, PART_BYTES), bytes.slice(PART_BYTES)].map(sha256));
  list = await sha256(text(pieceListText(piecesOfParts(SIZE, hashes))));
});

beforeEach(() => {
  target = `tasks/71/1/f_${++names}.exr`;
});

async function storeParts(other?: Uint8Array<ArrayBuffer>): Promise<void> {
  for (const [index, content] of [bytes.slice(0, PART_BYTES), other ?? bytes.slice(PART_BYTES)].entries()) {
    const body = new Response(content).body as ReadableStream<Uint8Array>;
    const upload = { body, size: content.length, sha256: await sha256(content), hashField: "x" };
    expect((await storePart(env.FILES, target, index + 1, upload, Date.now())).ok).toBe(true);
  }
}

async function join(whole: Partial<Whole>, bucket = env.FILES): Promise<unknown> {
  const joined = await assemble(bucket, target, { size: SIZE, sha256: right, ...whole }, Date.now);
  return joined.ok ? joined.value : joined.error.code;
}

async function read(
  file: { sha256: string; pieces?: string },
  headers: Record<string, string> = {},
): Promise<Response> {
  const content = { key: target, size: SIZE, ...file, name: "f.exr", cacheControl: "no-store" };
  return await answerContent(
    new Request("https://farm.example/x", { headers }),
    env.FILES,
    content,
    createExecutionContext(),
  );
}

/** The bucket, in which nobody may read a part. */
const unread = new Proxy(env.FILES, {
  get: (bucket, name) => {
    const method = (bucket[name as keyof R2Bucket] as (...args: unknown[]) => unknown).bind(bucket);
    return (...args: unknown[]) => {
      if (name === "get" && String(args[0]).startsWith("parts/")) throw new Error("a part was read");
      return method(...args);
    };
  },
});

describe("a file whose sender names the list of its parts", () => {
  test("P11: is assembled without reading it, when the parts that arrived are those of the list", async () => {
    await storeParts();
    expect(await join({ pieces: list }, unread)).toEqual({ created: true, pieces: list });
    expect(await join({ pieces: list }, unread)).toEqual({ created: false, pieces: list });
    const answer = await read({ sha256: right, pieces: list });
    expect(await sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(right);
  });

  test("P11: is refused when the list is another one, and the upload is given up", async () => {
    await storeParts();
    expect(await join({ pieces: "0".repeat(64) })).toBe("invalid");
    // The parts count no more.
    expect(await join({ pieces: list })).toBe("conflict");
    expect(await env.FILES.head(target)).toBeNull();
    await storeParts();
    expect(await join({ pieces: list })).toEqual({ created: true, pieces: list });
  });

  test("P3: of which other parts come is not replaced, and the answer says so", async () => {
    await storeParts();
    await join({ pieces: list });
    const other = new Uint8Array(1_003).fill(7);
    const otherList = await sha256(text(pieceListText(piecesOfParts(SIZE, [hashes[0]!, await sha256(other)]))));
    await storeParts(other);
    // With the hash of the file that is there, too: the list decides.
    expect(await join({ pieces: otherList })).toBe("conflict");
    expect(await join({ pieces: list })).toEqual({ created: false, pieces: list });
    expect((await read({ sha256: right, pieces: otherList })).status).toBe(404);
  });

  test("P3: and one whose SHA-256 was checked, are told apart by their parts", async () => {
    await storeParts();
    expect(await join({})).toEqual({ created: true });
    expect(await join({ pieces: list })).toEqual({ created: false });
    expect(await join({ pieces: "0".repeat(64) })).toBe("conflict");
  });

  test("P3: of two contents with one name and one SHA-256 that are assembled at once, one becomes the file", async () => {
    const other = new Uint8Array(1_003).fill(9);
    const otherList = await sha256(text(pieceListText(piecesOfParts(SIZE, [hashes[0]!, await sha256(other)]))));
    await storeParts(other);
    // The other content becomes the file between the check and the manifest of this one.
    let between = async (): Promise<void> => {
      between = async () => undefined;
      const manifest = [hashes[0]!, hashes[1]!].join("\n");
      const customMetadata = { sha256: right, size: String(SIZE), upload: "another", pieces: list };
      await env.FILES.put(target, manifest, { customMetadata });
    };
    const late = new Proxy(env.FILES, {
      get: (bucket, name) => {
        const method = (bucket[name as keyof R2Bucket] as (...args: unknown[]) => unknown).bind(bucket);
        if (name !== "put") return method;
        return async (...args: unknown[]) => {
          if (args[0] === target) await between();
          return await method(...args);
        };
      },
    });
    expect(await join({ pieces: otherList }, late)).toBe("conflict");
  });

  test("with a wrong SHA-256 is stored, read, tagged and packed by its parts", async () => {
    await storeParts();
    expect(await join({ pieces: list, sha256: LIE })).toEqual({ created: true, pieces: list });
    const answer = await read({ sha256: LIE, pieces: list });
    expect(answer.headers.get("ETag")).toBe(`"pieces-${list}"`);
    expect(await sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(right);
    const range = await read({ sha256: LIE, pieces: list }, { Range: `bytes=${PART_BYTES - 2}-${PART_BYTES + 1}` });
    expect([...new Uint8Array(await range.arrayBuffer())]).toEqual([...bytes.subarray(PART_BYTES - 2, PART_BYTES + 2)]);
    expect((await read({ sha256: LIE, pieces: list }, { "If-None-Match": `"pieces-${list}"` })).status).toBe(304);
    // Another file with the same wrong hash has another tag, also in an archive.
    const file = { frame: 1, name: "f.exr", attempt: 1, size: SIZE, sha256: LIE, crc32: "00c0ffee" };
    const tags = await Promise.all(
      [list, "1".repeat(64)].map(async (pieces) => {
        const archive = await archiveOf(71, [{ ...file, pieces }], "zip");
        return archive.ok && archive.value.etag;
      }),
    );
    expect(new Set(tags).size).toBe(2);
  });
});

describe("the route", () => {
  const params = { id: "3", name: "big.exr" };
  const headers = async (): Promise<Record<string, string>> => ({
    "Tablao-Grant-Token": await signGrant(await importKey(SECRET), GRANT),
  });
  const send = async (body: object, pieces: string): Promise<Response> =>
    await post(assembleOutput, body, {
      params,
      principal: WORKER,
      headers: { ...(await headers()), "Tablao-Pieces": pieces, "Tablao-CRC32": "00c0ffee" },
    });

  test("answers with a receipt that says what was checked", async () => {
    for (const [index, hash] of hashes.entries()) {
      const content = bytes.slice(index * PART_BYTES, (index + 1) * PART_BYTES);
      const part = { params: { ...params, n: String(index + 1) }, principal: WORKER };
      const sent = await put(putOutputPart, content, {
        ...part,
        headers: { ...(await headers()), "Tablao-SHA256": hash },
      });
      expect(sent.status).toBe(204);
    }
    const answer = await send({ size: SIZE, sha256: LIE }, list);
    expect(answer.status).toBe(201);
    const { receipt, ...rest } = await answer.json<{ receipt: string }>();
    expect(rest).toEqual({ name: "big.exr", size: SIZE, sha256: LIE, pieces: list });
    expect(await verifyReceipt(await importKey(SECRET), receipt)).toMatchObject({
      sha256: LIE,
      pieces: list,
      crc32: "00c0ffee",
    });
    expect(await keys("uploads/tasks/3")).toEqual([]);
  });

  test("P10: refuses a list that is none, and one of a file that has one part", async () => {
    const refused = { status: 422, code: "invalid", fields: ["Tablao-Pieces"] };
    expect(await problem(await send({ size: SIZE, sha256: LIE }, "x"))).toEqual(refused);
    expect(await problem(await send({ size: PART_BYTES, sha256: LIE }, list))).toEqual(refused);
  });
});
