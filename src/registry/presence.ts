/** Presence: is a worker there, and what does it do? Pure: derived when somebody asks, so being offline needs no timer. */
import { OFFLINE_AFTER_MS } from "../protocol/worker.ts";

/** A worker without a socket is online this long after its last request. */
export const HTTP_ONLINE_MS = 60_000;

/** What is known of a worker's being alive. */
export interface Signs {
  /** Its newest ping on the socket that is open now, or when that socket was opened; null without one. */
  socketMs: number | null;
  /** Its newest HTTP request. */
  contactMs: number;
  /** When it said that it is leaving; null when it has not. */
  leftMs: number | null;
  /** Some task's latest report has a live lease of it. */
  liveLease: boolean;
}

/** Online by a live socket, a recent request or a live lease, unless it said goodbye after all of that. */
export function isOnline(signs: Signs, nowMs: number): boolean {
  if (signs.leftMs !== null && signs.leftMs >= lastSeenMs(signs)) return false;
  if (signs.liveLease || nowMs - signs.contactMs < HTTP_ONLINE_MS) return true;
  return signs.socketMs !== null && nowMs - signs.socketMs < OFFLINE_AFTER_MS;
}

/** The newest sign of life. */
export function lastSeenMs(signs: Pick<Signs, "socketMs" | "contactMs">): number {
  return Math.max(signs.contactMs, signs.socketMs ?? 0);
}

/** The documented `status` of a worker. */
export function statusOf(worker: {
  enabled: boolean;
  liveLease: boolean;
  saidRendering: boolean;
}): "enabled" | "disabled" | "rendering" {
  if (!worker.enabled) return "disabled";
  return worker.liveLease || worker.saidRendering ? "rendering" : "enabled";
}
