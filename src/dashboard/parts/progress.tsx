/** The progress of a task: a strip with a part for each state of frames. */
import type { FrameCounts } from "../../protocol/task.ts";
import { text } from "../text.ts";

const SHOWN = ["done", "leased", "failed", "skipped"] as const;

export function Strip({ frames }: { frames: FrameCounts }) {
  const { total } = frames;
  return (
    <div class="strip" role="img" aria-label={text.counts(frames)}>
      {SHOWN.map((state) =>
        frames[state] > 0 ? (
          <i key={state} data-state={state} style={{ width: `${(100 * frames[state]) / Math.max(1, total)}%` }} />
        ) : null,
      )}
    </div>
  );
}
