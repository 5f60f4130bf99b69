/** What Node asks of the driver inside the runtime (`workerd/driver.ts`). */
export type Order =
  /** Every worker claims its first lease. */
  | { do: "claim"; task: number; workers: number }
  /** Every worker completes its lease and takes the next, `cycles` times. */
  | { do: "cycle"; task: number; workers: number; cycles: number }
  /** `callers` at a time call the bare object, each `calls` times. */
  | { do: "bare"; callers: number; calls: number; text: string };
