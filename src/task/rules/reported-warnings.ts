/** The warnings that a lease call brings, put to its frames. Pure. */
import { ok, type Result } from "../../lib/result.ts";
import { parseFrameList } from "../../protocol/frame-list.ts";
import type { FrameWarning } from "../../protocol/lease.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { has, setOf, type FrameSet } from "./frame-set.ts";
import { leaseFrames } from "./receipts.ts";
import type { RenderedFrame } from "./settle.ts";

/** What a call says of its frames besides that they are done. */
interface Reported {
  warnings?: readonly FrameWarning[] | undefined;
  one_colour?: string | undefined;
  several_colours?: string | undefined;
}

/**
 * The frames with what the same call says of them: warnings, and whether a picture has one colour. Refused when a
 * list of frames is none.
 */
export function withReports(
  done: readonly RenderedFrame[],
  { warnings = [], one_colour, several_colours }: Reported,
): Result<RenderedFrame[], Refusal> {
  const lists = [
    ...warnings.map(({ frames }, i) => [`warnings.${i}.frames`, frames] as const),
    ["one_colour", one_colour] as const,
    ["several_colours", several_colours] as const,
  ];
  const sets: FrameSet[] = [];
  for (const [field, text] of lists) {
    const list = text === undefined ? ok([]) : parseFrameList(text);
    if (!list.ok) return refuse("invalid", list.error, field);
    const named = leaseFrames(list.value);
    if (!named.ok) return refuse("invalid", named.error.detail, field);
    sets.push(setOf(named.value));
  }
  const [one, several] = sets.splice(warnings.length);
  return ok(
    done.map((item) => {
      const texts = warnings.filter(({ text }, i) => text !== "" && has(sets[i]!, item.frame)).map(({ text }) => text);
      const oneColour = has(one!, item.frame) ? true : has(several!, item.frame) ? false : undefined;
      return {
        ...item,
        ...(texts.length > 0 && { warnings: [...new Set(texts)] }),
        ...(oneColour !== undefined && { oneColour }),
      };
    }),
  );
}
