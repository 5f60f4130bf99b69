/**
 * Stand-in programs that act as Blender of a version: they print it, load a plain .blend of their own or
 * an older version, and write a PNG of one pixel for each frame. What they say of a newer file is what
 * Blender itself says (3.4.1 of Debian, and the modules `bpy` 4.2 to 5.0). A file with `no-camera` in its name has
 * no camera.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

/** A PNG of one pixel, in octal escapes for `printf`. */
const PNG = [
  ...Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=",
    "base64",
  ),
]
  .map((byte) => `\\${byte.toString(8).padStart(3, "0")}`)
  .join("");

/**
 * A stand-in for Blender of this version, as `<folder>/blender`. `crash`: with a newer file it ends by
 * SIGSEGV without a word, as 3.4.1 does with files of 4.5. Answers with its path.
 */
export function standInBlender(folder: string, version: string, { crash = false } = {}): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, "blender");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  writeFileSync(
    file,
    `#!/bin/sh
if [ "$1" = --version ]; then printf 'Blender ${version}\\n\\tbuild date: 2026-01-01\\n'; exit 0; fi
echo "Blender ${version}"
out=; frames=; scene=
while [ $# -gt 0 ]; do
  case "$1" in
    --render-output) out=$2; shift ;;
    --render-frame) frames=$2; shift ;;
    *.blend) scene=$1 ;;
  esac
  shift
done
case "$(head -c 17 "$scene" | tr -d '\\000')" in
  BLENDER17-01v*) saved=$(head -c 17 "$scene" | tail -c 4) ;;
  *) saved=$(head -c 12 "$scene" | tail -c 3) ;;
esac
saved=$(echo "$saved" | sed 's/^0*//')
if [ "$saved" -ge 500 ] && [ ${major * 100 + minor} -lt 405 ]; then
  echo "Error: Failed to read blend file '$scene', not a blend file" >&2
  exit 1
fi
if [ "$saved" -gt ${major * 100 + minor} ]; then
  ${crash ? "kill -SEGV $$" : ""}
  echo "Warning: File written by newer Blender binary ($saved.13), expect loss of data!"
fi
case "$scene" in
  *no-camera*) echo "Error: Cannot render, no camera" >&2; exit 1 ;;
esac
for frame in $(echo "$frames" | tr , ' '); do
  name=$(printf '%s' "$out" | sed "s/####/$(printf %04d "$frame")/").png
  echo "Fra:$frame Mem:9.04M (Peak 10.83M) | Time:00:00.13 | Rendering 1 / 1 samples"
  printf '${PNG}' > "$name"
  echo "Saved: '$name'"
  echo " Time: 00:00.13 (Saving: 00:00.00)"
done
echo "Blender quit"
`,
  );
  chmodSync(file, 0o755);
  return file;
}

/** The first bytes of a plain .blend that this version saves, and room after them. */
export function plainBlend(version: string): Buffer {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const digits = String(major * 100 + minor);
  const head = major >= 5 ? `BLENDER17-01v${digits.padStart(4, "0")}` : `BLENDER-v${digits}REND`;
  return Buffer.concat([Buffer.from(head, "latin1"), Buffer.alloc(256)]);
}
