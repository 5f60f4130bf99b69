/**
 * Tests of a promise that is measured in real time. Other load on the machine only adds to the time, so one run of five
 * within it shows that the promise can be kept.
 */
export const REAL_TIME = { retry: 4 } as const;
