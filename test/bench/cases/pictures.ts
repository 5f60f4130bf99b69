/** How long the look at a rendered picture takes, beside the inflation of its pixels alone. */
import { crc32, deflateSync, inflateSync } from "node:zlib";
import { lookAt } from "../../../src/pictures/index.ts";
import type { Case, Row } from "../case.ts";
import { duration } from "../numbers.ts";

const [WIDTH, HEIGHT] = [1920, 1080];
/** The fastest of so many counts, because other programs share the machine. */
const RUNS = 10;

function chunk(name: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  out.set(body, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** RGBA with the noise of few samples: rows by the filter "Sub", pixels in chunks of 8 kB, as Blender writes them. */
function noisy(depth: 8 | 16): { png: Buffer; deflated: Buffer } {
  const row = (WIDTH * 4 * depth) / 8 + 1;
  const rows = new Uint8Array(row * HEIGHT);
  for (let at = 0, noise = 1; at < rows.length; at++) {
    noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
    const byte = (at % row) - 1;
    const isAlpha = (byte >> (depth === 16 ? 1 : 0)) % 4 === 3;
    const isLow = depth === 16 && byte % 2 === 1;
    // A sum of two, because small differences are more frequent than large ones.
    rows[at] = byte < 0 ? 1 : isAlpha ? 0 : isLow ? noise >>> 24 : ((noise >>> 28) + ((noise >>> 20) & 15) - 15) & 0xff;
  }
  const deflated = deflateSync(rows, { level: 3 });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  header.set([depth, 6], 8);
  const parts: Buffer[] = [];
  for (let at = 0; at < deflated.length; at += 8192) parts.push(chunk("IDAT", deflated.subarray(at, at + 8192)));
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  const png = Buffer.concat([signature, chunk("IHDR", header), ...parts, chunk("IEND", Buffer.alloc(0))]);
  return { png, deflated };
}

async function fastest(run: () => unknown): Promise<{ wall: number; cpu: number }> {
  let best = { wall: Infinity, cpu: Infinity };
  for (let count = 0; count < RUNS; count++) {
    const before = process.cpuUsage();
    const start = performance.now();
    await run();
    const wall = performance.now() - start;
    const { user, system } = process.cpuUsage(before);
    if (wall < best.wall) best = { wall, cpu: (user + system) / 1000 };
  }
  return best;
}

export const pictures: Case = {
  name: "pictures",
  async run(progress) {
    const rows: Row[] = [];
    for (const [depth, goal] of [
      [8, 40],
      [16, 80],
    ] as const) {
      progress(`${depth} bits`);
      const { png, deflated } = noisy(depth);
      const { broken, oneColour } = await lookAt(png);
      if (broken !== null || oneColour !== false) throw new Error("the picture was not read as it was made");
      const { wall, cpu } = await fastest(async () => await lookAt(png));
      const floor = await fastest(() => inflateSync(deflated, { chunkSize: 1024 * 1024 }));
      rows.push({
        what: `looking at a PNG of ${WIDTH} × ${HEIGHT}, RGBA of ${depth} bits`,
        figure: `${duration(wall)}, ${duration(cpu)} CPU`,
        detail:
          `${(png.length / 1e6).toFixed(1)} MB of noise; inflating its pixels alone takes ${duration(floor.wall)}; ` +
          `the fastest of ${RUNS}`,
        goal: `at most ${goal} ms`,
        reached: wall <= goal,
      });
    }
    return rows;
  },
};
