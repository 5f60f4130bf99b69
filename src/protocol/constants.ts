/** Limits and names that several sides must agree on. No schema library here: the page and the parsers load this file alone. */

/** Farm settings whose names start so are render presets. */
export const PRESET_PREFIX = "render.";

/** Every fatal line of the script that Blender runs starts so: the compiler of `blender_render` writes it, its parser reads it. */
export const FATAL_PREFIX = "Tablao: ";

/** The parsers an agent has. A plan names one; `parsers/index.ts` must have an entry for each. */
export const PARSER_NAMES = ["blender_render", "ffmpeg", "plain"] as const;
export type ParserName = (typeof PARSER_NAMES)[number];

/**
 * Uploads granted by a lease may still be under way when the lease ends. Its grant is valid this much longer, and what was uploaded
 * under it in vain is deleted only then: an upload that arrived after the deletion would stay for ever.
 */
export const SWEEP_AFTER_MS = 60_000;
