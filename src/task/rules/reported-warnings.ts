/** The warnings that a lease call brings, put to its frames. Pure. */
import { ok, type Result } from "../../lib/result.ts";
import { parseFrameList } from "../../protocol/frame-list.ts";
import type { FrameWarning } from "../../protocol/lease.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { has, setOf, type FrameSet } from "./frame-set.ts";
import { leaseFrames } from "./receipts.ts";
import type { RenderedFrame } from "./settle.ts";

/** The frames with the warnings that the same call brings. Refused when a list of frames is none. */
export function withWarnings(
  done: readonly RenderedFrame[],
  warnings: readonly FrameWarning[] = [],
): Result<RenderedFrame[], Refusal> {
  const sets: { text: string; set: FrameSet }[] = [];
  for (const [i, { text, frames }] of warnings.entries()) {
    const field = `warnings.${i}.frames`;
    const list = parseFrameList(frames);
    if (!list.ok) return refuse("invalid", list.error, field);
    const named = leaseFrames(list.value);
    if (!named.ok) return refuse("invalid", named.error.detail, field);
    if (text !== "") sets.push({ text, set: setOf(named.value) });
  }
  if (sets.length === 0) return ok([...done]);
  return ok(
    done.map((item) => {
      const texts = sets.filter(({ set }) => has(set, item.frame)).map(({ text }) => text);
      return texts.length === 0 ? item : { ...item, warnings: [...new Set(texts)] };
    }),
  );
}
