/** What can be measured of both managers. */
export interface Side {
  /** Queue a thousand more tasks, as one submission. */
  addThousand(): Promise<void>;
  /** A free worker gets a task. */
  poll(worker: number): Promise<void>;
  /** The worker completes its task, and is free. */
  complete(worker: number): Promise<void>;
  /** The worker completes its task, and gets the next. */
  completeAndPoll(worker: number): Promise<void>;
  stop(): Promise<void>;
}
