/** Faults inside the manager: what its services do to it. Shared by the runs and the chaos entry. */

const SERVICES = ["d1", "r2", "task", "registry"] as const;
/** History, files, and the calls to task objects and to the registry. */
export type Service = (typeof SERVICES)[number];

export const HOW = ["refuse", "lose the answer", "be slow"] as const;

export interface FaultPlan {
  /** Probability of each call to fail. */
  rate: number;
  how: readonly (typeof HOW)[number][];
  /** How late a slow call is made. */
  slowMs: number;
}

export type ManagerFaults = Record<Service, FaultPlan | null>;

export const NO_FAULTS: ManagerFaults = { d1: null, r2: null, task: null, registry: null };
