/** What data-blocks name outside the file, kind by kind. */
import type { Collectors, DataBlock, FoundFile, Survey } from "./facts.ts";
import type { Owner } from "./owners.ts";
import { listFirst, type StructView } from "./struct-view.ts";
import type { ExternalFile, ExternalKind, PathField } from "./types.ts";

/** Values of `Image.source`. */
const IMAGE_SEQUENCE = 2;
const IMAGE_KINDS = new Map<number, ExternalKind>([
  [1, "image"],
  [IMAGE_SEQUENCE, "sequence"],
  [3, "movie"],
  [6, "udim"],
]);
const CLIP_SEQUENCE = 1;
/** Values of `Sequence.type`. */
const STRIP_IMAGE = 0;
const STRIP_MOVIE = 3;
const STRIP_SOUND = [4, 5];
const STRIP_MUTED = 1 << 5;
/** `Text.flags`: the text is only in the file. */
const TEXT_IN_MEMORY = 1 << 2;
/** `Library.flag`: data that is linked and packed (Blender 5). */
const LIBRARY_IS_ARCHIVE = 1 << 0;
/** Values of `mode` of nodes and cameras that take a file or a text block. */
const MODE_EXTERNAL = 1;

/** A file of one path field. Nothing for an empty path. */
export function addFile(
  block: DataBlock,
  kind: ExternalKind,
  path: string | undefined,
  field: PathField | undefined,
  more: Partial<FoundFile> = {},
): void {
  if (path) block.files.push({ kind, path, fields: field ? [field] : [], layout: "path", ...more });
}

/** The usual case: a field of characters in the struct. */
function addField(
  view: StructView,
  name: string,
  block: DataBlock,
  kind: ExternalKind,
  more: Partial<FoundFile> = {},
): void {
  addFile(block, kind, view.text(name), view.place(name), more);
}

/** The text that a pointer points to. */
export async function addText(
  owner: Owner,
  address: number | undefined,
  block: DataBlock,
  kind: ExternalKind,
  more: Partial<FoundFile> = {},
): Promise<void> {
  const found = await owner.text(address);
  if (found) addFile(block, kind, found.text, { offset: found.offset, capacity: found.capacity }, more);
}

async function image(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  const source = view.number("source") ?? 0;
  const kind = IMAGE_KINDS.get(source);
  if (!kind || isPacked(view)) return;
  const tiles: number[] = [];
  if (kind === "udim") {
    for (const tile of await owner.list(listFirst(view, "tiles"))) {
      const number = tile.number("tile_number");
      if (number !== undefined) tiles.push(number);
    }
  }
  addField(view, "name", block, kind, tiles.length > 0 ? { tiles } : {});
  // Stereo pictures whose views are files of their own.
  if (view.number("views_format") !== 0) return;
  for (const eye of await owner.list(listFirst(view, "views"))) {
    if (eye.text("filepath") !== view.text("name")) addField(eye, "filepath", block, kind);
  }
}

function isPacked(view: StructView): boolean {
  return view.pointer("packedfile") !== undefined || listFirst(view, "packedfiles") !== undefined;
}

async function library(_owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  block.archive = ((view.number("flag") ?? 0) & LIBRARY_IS_ARCHIVE) !== 0;
  const field = view.has("name") ? "name" : "filepath";
  block.archivePath = view.text(field);
  if (!block.archive && !isPacked(view)) addField(view, field, block, "library");
}

async function strip(owner: Owner, view: StructView, block: DataBlock, survey: Survey): Promise<void> {
  const type = view.number("type") ?? -1;
  const muted = ((view.number("flag") ?? 0) & STRIP_MUTED) !== 0;
  // The scene comes before its strips.
  const unused = muted || block.scene?.hasSequencer === false;
  const clip = view.pointer("clip");
  if (clip !== undefined) addRange(survey, clip, 1, view.number("len") ?? 0);
  if (type !== STRIP_IMAGE && type !== STRIP_MOVIE && !STRIP_SOUND.includes(type)) return;
  const data = await owner.follow(view.pointer("strip") ?? view.pointer("data"));
  if (!data) return;
  const folder = data.text("dir") ?? data.text("dirpath") ?? "";
  const folderField = data.place("dir") ?? data.place("dirpath");
  const elementBlock = owner.find(data.pointer("stripdata"));
  if (elementBlock === undefined || !folderField) return;
  const elements = await owner.structs(elementBlock);
  const names: string[] = [];
  const fields = [folderField];
  for (const element of elements.slice(0, type === STRIP_IMAGE ? undefined : 1)) {
    const field = element.has("name") ? "name" : "filename";
    const name = element.text(field);
    const place = element.place(field);
    if (!name || !place) continue;
    names.push(name);
    fields.push(place);
  }
  if (names.length === 0) return;
  // A sound strip plays its sound data-block; the path is only how it was made.
  if (STRIP_SOUND.includes(type) && view.pointer("sound") !== undefined) return;
  block.files.push({
    kind: type === STRIP_IMAGE ? "strip images" : type === STRIP_MOVIE ? "strip movie" : "strip sound",
    path: /[/\\]$/.test(folder) || folder === "" ? folder + names[0] : `${folder}/${names[0]}`,
    fields,
    layout: "folder and name",
    ...(type === STRIP_IMAGE && { names }),
    ...(unused && { unused }),
    ...(STRIP_SOUND.includes(type) && { silent: true }),
  });
}

/** Notes that files `first` to `last` of a sequence are shown. */
function addRange(survey: Survey, address: number, first: number, count: number): void {
  if (count <= 0) return;
  const last = first + count - 1;
  const known = survey.sequences.get(address);
  survey.sequences.set(address, {
    first: Math.min(first, known?.first ?? first),
    last: Math.max(last, known?.last ?? last),
  });
}

/** Notes which files an ImageUser shows: file 1 + offset in the first frame. */
export function addImageUser(survey: Survey, picture: number | undefined, user: StructView | undefined): void {
  if (picture === undefined || !user) return;
  addRange(survey, picture, 1 + (user.number("offset") ?? 0), user.number("frames") ?? 0);
}

/** A sequence that says by itself which of its files it shows. */
const ownFrames = (first: number, count: number): Pick<ExternalFile, "frames"> =>
  count > 0 ? { frames: { first, last: first + count - 1 } } : {};

export const fileCollectors: Collectors = [
  ["Library", library],
  ["Image", image],
  ["Sequence", strip],
  [
    "VFont",
    async (_, view, block) => {
      if (!isPacked(view) && view.text("name") !== "<builtin>") addField(view, "name", block, "font");
    },
  ],
  [
    "bSound",
    async (_, view, block) => {
      if (!isPacked(view)) addField(view, "name", block, "sound", { silent: true });
    },
  ],
  [
    "MovieClip",
    async (_, view, block) => {
      const isSequence = view.number("source") === CLIP_SEQUENCE;
      const length = isSequence ? (view.number("len") ?? 0) : 0;
      const offset = view.number("frame_offset") ?? 0;
      addField(view, "name", block, isSequence ? "clip sequence" : "clip", ownFrames(1 + offset, length));
    },
  ],
  [
    "CacheFile",
    async (_, view, block) => {
      addField(view, "filepath", block, view.number("is_sequence") ? "cache file sequence" : "cache file");
    },
  ],
  ["CacheFileLayer", async (_, view, block) => addField(view, "filepath", block, "cache file")],
  [
    "Volume",
    async (_, view, block) => {
      if (isPacked(view)) return;
      const isSequence = (view.number("is_sequence") ?? 0) !== 0;
      const frames = isSequence
        ? ownFrames(1 + (view.number("frame_offset") ?? 0), view.number("frame_duration") ?? 0)
        : {};
      addField(view, "filepath", block, isSequence ? "volume sequence" : "volume", frames);
    },
  ],
  [
    "Text",
    async (owner, view, block) => {
      // The text itself is in the file; the path is where it came from.
      const inMemory = ((view.number("flags") ?? 0) & TEXT_IN_MEMORY) !== 0;
      if (!inMemory) await addText(owner, view.pointer("name"), block, "text", { unused: true });
    },
  ],
  ["MeshCacheModifierData", async (_, view, block) => addField(view, "filepath", block, "mesh cache")],
  ["CustomDataExternal", async (_, view, block) => addField(view, "filename", block, "mesh cache")],
  [
    "OceanModifierData",
    async (_, view, block) => {
      if (view.number("cached")) addField(view, "cachepath", block, "cache folder");
    },
  ],
  [
    "Camera",
    async (_, view, block) => {
      // Blender 5's cameras by OSL.
      if (view.number("custom_mode") === MODE_EXTERNAL) addField(view, "custom_filepath", block, "osl");
    },
  ],
];
