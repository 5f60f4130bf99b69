/**
 * What Cloudflare charges, in dollars: list prices of the Workers Paid plan and of R2, as its pages had
 * them in November 2026. The manager uses those of R2's storage, and the benchmarks the others. Pure.
 *
 * https://developers.cloudflare.com/workers/platform/pricing/
 * https://developers.cloudflare.com/durable-objects/platform/pricing/
 * https://developers.cloudflare.com/d1/platform/pricing/
 * https://developers.cloudflare.com/r2/pricing/
 */

/** Beyond what a plan includes: per million; CPU per million ms, duration per million GB-s. */
export const PRICES = {
  requests: 0.3,
  cpuMs: 0.02,
  objectRequests: 0.15,
  objectGbS: 12.5,
  rowsWritten: 1,
  rowsRead: 0.001,
  classA: 4.5,
  classB: 0.36,
} as const;

/** R2's standard storage, per GB and month, and how much of it is free, in GB. 1 GB is 1,000,000,000 bytes. */
export const STORAGE_PRICE = {
  dollarsPerGb: 0.015,
  freeGb: 10,
  source: "https://developers.cloudflare.com/r2/pricing/",
  asOf: "2026-11",
} as const;

const GB = 1e9;

/**
 * What R2 charges for storing so many bytes for a month. R2 rounds up to whole GB, and what is free is
 * free once for the whole account: other buckets of the account may use it up.
 */
export function storageDollars(bytes: number): number {
  const gb = Math.max(0, Math.ceil(bytes / GB) - STORAGE_PRICE.freeGb);
  // To a tenth of a cent: 0.015 has no exact binary form.
  return Math.round(gb * STORAGE_PRICE.dollarsPerGb * 1_000) / 1_000;
}
