/** Faults of the services that the manager uses. Shared by the runs and the chaos entry. */

const SERVICES = ["d1", "r2", "task", "registry"] as const;
/** History, files, and the calls to task objects and to the registry. */
export type Service = (typeof SERVICES)[number];

export const HOW = ["refuse", "lose the answer", "be slow"] as const;

export interface FaultPlan {
  /** Probability that a call fails. */
  rate: number;
  how: readonly (typeof HOW)[number][];
  /** Delay of a slow call. */
  slowMs: number;
}

export type ManagerFaults = Record<Service, FaultPlan | null>;

export const NO_FAULTS: ManagerFaults = { d1: null, r2: null, task: null, registry: null };
