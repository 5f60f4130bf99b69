/** How long a large .blend file takes to be read, in CPU time. The files are not on disk: their parts repeat. */
import { gzipSync, zstdCompressSync } from "node:zlib";
import { readContents } from "../../../src/blend/read-contents.ts";
import type { ByteSource } from "../../../src/blend/types.ts";
import { LAYOUTS, makeFile, seekTable, smallSceneBlocks } from "../../support/blend-files.ts";
import type { Case, Row } from "../case.ts";
import { short } from "../numbers.ts";

const MIB = 1024 * 1024;
const GOAL_S = 1;

/** Parts one after the other as one file; reading copies, as reading a file does. */
function joined(parts: Uint8Array[]): ByteSource {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.length;
  }
  return {
    size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let at = starts.findLastIndex((start) => start <= offset);
      for (let done = 0; done < bytes.length; at++) {
        const from = offset + done - starts[at]!;
        const part = parts[at]!.subarray(from, from + bytes.length - done);
        bytes.set(part, done);
        done += part.length;
      }
      return bytes;
    },
  };
}

async function secondsOf(source: ByteSource): Promise<number> {
  const before = process.cpuUsage();
  const { externals } = await readContents(source);
  if (externals.length !== 2) throw new Error("the file was not read as it was made");
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

export const scenes: Case = {
  name: "scenes",
  async run(progress) {
    const layout = LAYOUTS[3]!;
    // Vertices of a mesh: numbers that do not repeat, in 4 bytes each.
    const mesh = new Uint8Array(Float32Array.from({ length: MIB / 4 - 6 }, (_, at) => Math.sin(at * at)).buffer);
    const tailBytes = makeFile(layout, []).length - 12;
    const whole = makeFile(layout, [...smallSceneBlocks(), { code: "DATA", struct: "Link", address: 99, raw: mesh }]);
    const headBytes = makeFile(layout, smallSceneBlocks()).length - tailBytes;
    const head = whole.subarray(0, headBytes);
    const block = whole.subarray(headBytes, whole.length - tailBytes);
    const tail = whole.subarray(whole.length - tailBytes);
    const of = (count: number): Uint8Array[] => [head, ...Array.from({ length: count }, () => block), tail];

    const plain = of(1024);
    const compressed = [head, block, tail].map((part) => zstdCompressSync(part, { pledgedSrcSize: part.length }));
    const frames = [compressed[0]!, ...Array.from({ length: 1024 }, () => compressed[1]!), compressed[2]!];
    progress("compressing 100 MB with gzip");
    const gzipped = gzipSync(Buffer.concat(of(108)), { level: 1 });
    const figures: [string, number, string][] = [];
    progress("reading");
    figures.push(["1 GiB, uncompressed", await secondsOf(joined(plain)), "1,024 blocks of 1 MiB"]);
    const sizes = plain.map(({ length }) => length);
    figures.push([
      "1 GiB in zstd frames, each with the header of a block",
      await secondsOf(joined([...frames, seekTable(frames, sizes)])),
      `${Math.round(frames.reduce((sum, { length }) => sum + length, 0) / MIB)} MiB stored; Node's own decoder where there is one`,
    ]);
    figures.push([
      `${Math.round(gzipped.length / 1e6)} MB of gzip`,
      await secondsOf(joined([gzipped])),
      "108 MiB of content, one pass",
    ]);
    return figures.map(([what, seconds, detail]): Row => ({
      what: `reading a scene of ${what}`,
      figure: `${short(seconds)} s CPU`,
      detail,
      goal: `at most ${GOAL_S} s`,
      reached: seconds <= GOAL_S,
    }));
  },
};
