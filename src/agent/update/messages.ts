/** What an agent tells the keeper that has started it. */

export type AgentMessage =
  /** It has called the manager: whatever keeps it from working now is not the program. */
  | { type: "called" }
  /** It has finished a lease. */
  | { type: "proven" }
  /** A person asked it to end when its frames are finished. */
  | { type: "stopping" }
  /** It has fetched another program, and ends when its frames are finished. */
  | { type: "update"; file: string };

/** The variable that tells an agent that a keeper has started it. */
export const KEPT = "TABLAO_KEPT";
