/**
 * A small ray tracer: spheres that dance round a mirror on a chequered stage at dusk. It stands in
 * for Blender in the demo and in tests, so it is a pure function: the same frame has the same bytes
 * on every run.
 */

export interface DemoFrame {
  width: number;
  height: number;
  /** Rays per pixel, for smooth edges. */
  samples: number;
  /** Chooses colours and steps of the dance. */
  seed: number;
  frame: number;
}

interface Sphere {
  x: number;
  y: number;
  z: number;
  radius: number;
  color: readonly [number, number, number];
  /** The share of light that it mirrors when seen straight on, 0 to 1. */
  mirror: number;
}

const FRAMES_PER_SECOND = 24;
const DANCERS = 7;
const MAX_BOUNCES = 3;
/** Rays start this far from a surface; nearer, rounding would make them hit it again. */
const SKIN = 1e-4;
/** Towards the low sun; of length 1. */
const SUN = normalized(-0.8, 0.42, -0.5);
const SUN_COLOR = [2.9, 2.1, 1.35] as const;
const HORIZON = [0.95, 0.42, 0.2] as const;
const ZENITH = [0.05, 0.09, 0.26] as const;
const DARK_TILE = [0.11, 0.02, 0.03] as const;
const LIGHT_TILE = [0.62, 0.5, 0.38] as const;

function normalized(x: number, y: number, z: number): readonly [number, number, number] {
  const length = Math.hypot(x, y, z);
  return [x / length, y / length, z / length];
}

/**
 * A small generator of numbers in [0, 1), the same on every machine (mulberry32, public domain).
 */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A saturated colour of the given hue (0 to 1, round the wheel). */
function hue(turn: number): readonly [number, number, number] {
  const channel = (offset: number) => {
    const wave = 0.5 + 0.5 * Math.cos(2 * Math.PI * (turn - offset));
    return 0.04 + 0.9 * wave * wave;
  };
  return [channel(0), channel(1 / 3), channel(2 / 3)];
}

/** The spheres of a frame. */
function stage(seed: number, frame: number): Sphere[] {
  const random = randomFrom(seed);
  const time = frame / FRAMES_PER_SECOND;
  const spheres: Sphere[] = [{ x: 0, y: 1.15, z: 0, radius: 1.15, color: [0.95, 0.93, 0.9], mirror: 0.85 }];
  const firstHue = random();
  for (let i = 0; i < DANCERS; i++) {
    const radius = 0.3 + 0.2 * random();
    const angle = (2 * Math.PI * (i + 0.4 * random())) / DANCERS + 0.55 * time;
    const distance = 2.05 + 0.75 * random();
    const hop = Math.abs(Math.sin(2.1 * time + 2 * Math.PI * random()));
    const [x, z] = [distance * Math.cos(angle), distance * Math.sin(angle)];
    const color = hue(firstHue + i / DANCERS);
    spheres.push({ x, y: radius + 0.75 * hop * hop, z, radius, color, mirror: 0.1 + 0.25 * random() });
  }
  return spheres;
}

/**
 * Traces rays through one frame's stage. The colour of the last ray is in `red`, `green`, `blue`:
 * no allocation per ray.
 */
class Tracer {
  red = 0;
  green = 0;
  blue = 0;
  private readonly spheres: readonly Sphere[];

  constructor(spheres: readonly Sphere[]) {
    this.spheres = spheres;
  }

  private sky(dx: number, dy: number, dz: number): void {
    const up = Math.max(0, dy) ** 0.45;
    const facing = Math.max(0, dx * SUN[0] + dy * SUN[1] + dz * SUN[2]);
    const glow = 0.35 * facing ** 8 + 5 * facing ** 900;
    this.red = HORIZON[0] + (ZENITH[0] - HORIZON[0]) * up + glow * SUN_COLOR[0] * 0.5;
    this.green = HORIZON[1] + (ZENITH[1] - HORIZON[1]) * up + glow * SUN_COLOR[1] * 0.4;
    this.blue = HORIZON[2] + (ZENITH[2] - HORIZON[2]) * up + glow * SUN_COLOR[2] * 0.3;
  }

  /**
   * Share of the sun seen from a point, with soft edges: how near the ray to the sun passes each
   * sphere.
   */
  private sunlight(x: number, y: number, z: number, own: Sphere | null): number {
    let light = 1;
    for (const sphere of this.spheres) {
      if (sphere === own) continue;
      const [cx, cy, cz] = [sphere.x - x, sphere.y - y, sphere.z - z];
      const along = cx * SUN[0] + cy * SUN[1] + cz * SUN[2];
      if (along <= 0) continue;
      const past = Math.sqrt(Math.max(0, cx * cx + cy * cy + cz * cz - along * along)) - sphere.radius;
      // The sun is a disc: its shadow's edge widens with the distance from what casts it.
      const seen = 0.5 + past / (0.14 * along);
      if (seen < light) light = Math.max(0, seen);
      if (light === 0) return 0;
    }
    return light * light * (3 - 2 * light);
  }

  /**
   * Share of the open sky that spheres leave free over a surface: darkens where they touch the
   * floor.
   */
  private openness(x: number, y: number, z: number, nx: number, ny: number, nz: number, own: Sphere | null): number {
    let open = 1;
    for (const sphere of this.spheres) {
      if (sphere === own) continue;
      const [cx, cy, cz] = [sphere.x - x, sphere.y - y, sphere.z - z];
      const distance = Math.hypot(cx, cy, cz);
      const facing = Math.max(0, (nx * cx + ny * cy + nz * cz) / distance);
      open *= 1 - Math.min(1, facing * (sphere.radius / distance) ** 2);
    }
    return open;
  }

  /** Follow one ray; `d` is of length 1. */
  trace(ox: number, oy: number, oz: number, dx: number, dy: number, dz: number, bounces: number): void {
    let near = dy < -1e-6 ? -oy / dy : Infinity;
    let hit: Sphere | null = null;
    for (const sphere of this.spheres) {
      const [cx, cy, cz] = [sphere.x - ox, sphere.y - oy, sphere.z - oz];
      const along = cx * dx + cy * dy + cz * dz;
      const inside = sphere.radius * sphere.radius - (cx * cx + cy * cy + cz * cz) + along * along;
      if (inside < 0) continue;
      const distance = along - Math.sqrt(inside);
      if (distance > SKIN && distance < near) [near, hit] = [distance, sphere];
    }
    if (near === Infinity) return this.sky(dx, dy, dz);

    const [x, y, z] = [ox + near * dx, oy + near * dy, oz + near * dz];
    const [nx, ny, nz] = hit
      ? [(x - hit.x) / hit.radius, (y - hit.y) / hit.radius, (z - hit.z) / hit.radius]
      : [0, 1, 0];
    const tile = (Math.floor(x / 0.9) + Math.floor(z / 0.9)) & 1 ? LIGHT_TILE : DARK_TILE;
    const color = hit ? hit.color : tile;
    const toSun = nx * SUN[0] + ny * SUN[1] + nz * SUN[2];
    const sun = toSun > 0 ? toSun * this.sunlight(x, y, z, hit) : 0;
    const open = this.openness(x, y, z, nx, ny, nz, hit);
    const skyShare = open * (0.5 + 0.5 * ny) * 0.55;
    // Light that the warm floor reflects onto what faces down.
    const floorShare = 0.16 * (0.5 - 0.5 * ny);
    let red = color[0] * (sun * SUN_COLOR[0] + skyShare * 0.62 + floorShare * 1.2);
    let green = color[1] * (sun * SUN_COLOR[1] + skyShare * 0.6 + floorShare * 0.7);
    let blue = color[2] * (sun * SUN_COLOR[2] + skyShare * 0.85 + floorShare * 0.55);

    const straight = -(nx * dx + ny * dy + nz * dz);
    const base = hit ? hit.mirror : 0.06;
    // Schlick's approximation: every surface mirrors at a grazing angle.
    const mirror = base + (1 - base) * 0.9 * (1 - Math.max(0, straight)) ** 5;
    if (bounces < MAX_BOUNCES && mirror > 0.02) {
      const [rx, ry, rz] = [dx + 2 * straight * nx, dy + 2 * straight * ny, dz + 2 * straight * nz];
      this.trace(x + SKIN * nx, y + SKIN * ny, z + SKIN * nz, rx, ry, rz, bounces + 1);
      const tint = hit && hit.mirror > 0.5 ? 1 : 1 - 0.3 * base;
      red += (this.red * tint - red) * mirror;
      green += (this.green * tint - green) * mirror;
      blue += (this.blue * tint - blue) * mirror;
      // The reflection of the sun on a polished sphere.
      const spot = hit && sun > 0 ? Math.max(0, rx * SUN[0] + ry * SUN[1] + rz * SUN[2]) ** 220 : 0;
      red += spot * 3;
      green += spot * 2.7;
      blue += spot * 2.2;
    }
    // Haze hides the far end of the stage.
    const haze = 1 - Math.exp(-((near / 26) ** 2));
    this.red = red + (HORIZON[0] - red) * haze;
    this.green = green + (HORIZON[1] - green) * haze;
    this.blue = blue + (HORIZON[2] - blue) * haze;
  }
}

/** Light to a byte: a filmic curve (Narkowicz's fit of ACES), then the gamma of screens. */
function toByte(light: number): number {
  const exposed = 0.6 * light;
  const curved = (exposed * (2.51 * exposed + 0.03)) / (exposed * (2.43 * exposed + 0.59) + 0.14);
  return Math.round(255 * Math.min(1, Math.max(0, curved)) ** (1 / 2.2));
}

/** Render a frame: three bytes a pixel, rows from the top. */
export function renderDemo({ width, height, samples, seed, frame }: DemoFrame): Uint8Array {
  const time = frame / FRAMES_PER_SECOND;
  const tracer = new Tracer(stage(seed, frame));
  const around = 1.25 + 0.16 * time;
  const [ex, ey, ez] = [7.2 * Math.cos(around), 2.3 + 0.35 * Math.sin(0.5 * time), 7.2 * Math.sin(around)];
  const [fx, fy, fz] = normalized(-ex, 0.9 - ey, -ez);
  const [rx, , rz] = normalized(-fz, 0, fx);
  const [ux, uy, uz] = [-rz * fy, rz * fx - rx * fz, rx * fy];
  const zoom = 0.42 / Math.min(height, width * 0.75);
  const rgb = new Uint8Array(width * height * 3);
  for (let py = 0; py < height; py++) {
    for (let px = 0; px < width; px++) {
      let [red, green, blue] = [0, 0, 0];
      for (let s = 0; s < samples; s++) {
        // The R2 sequence spreads any number of samples evenly over the pixel.
        const sx = (2 * (px + ((0.5 + s * 0.754877666) % 1)) - width) * zoom;
        const sy = (height - 2 * (py + ((0.5 + s * 0.569840291) % 1))) * zoom;
        const [dx, dy, dz] = normalized(fx + sx * rx + sy * ux, fy + sy * uy, fz + sx * rz + sy * uz);
        tracer.trace(ex, ey, ez, dx, dy, dz, 0);
        red += Math.min(tracer.red, 4);
        green += Math.min(tracer.green, 4);
        blue += Math.min(tracer.blue, 4);
      }
      const at = (py * width + px) * 3;
      rgb[at] = toByte(red / samples);
      rgb[at + 1] = toByte(green / samples);
      rgb[at + 2] = toByte(blue / samples);
    }
  }
  return rgb;
}
