/** What both can do. */
export interface Side {
  /** A thousand more queued tasks, as one submission. */
  addThousand(): Promise<void>;
  /** A free worker gets a task. */
  poll(worker: number): Promise<void>;
  /** It has done it, and is free. */
  complete(worker: number): Promise<void>;
  /** It has done it, and gets the next. */
  completeAndPoll(worker: number): Promise<void>;
  stop(): Promise<void>;
}
