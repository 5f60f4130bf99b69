/**
 * Presence: whether a worker is online, and what it does. Pure: derived when it is asked for, so
 * going offline needs no timer.
 */
import { OFFLINE_AFTER_MS } from "../protocol/worker.ts";

/** A worker without a socket counts as online this long after its last request. */
export const HTTP_ONLINE_MS = 60_000;

/** The signs of life of a worker. */
export interface Signs {
  /** The newest ping on its open socket, or when that socket was opened; null without a socket. */
  socketMs: number | null;
  /** Its newest HTTP request. */
  contactMs: number;
  /** When it said that it leaves; null when it has not. */
  leftMs: number | null;
  /** The latest report of some task names a live lease of this worker. */
  liveLease: boolean;
}

/**
 * Online by a live socket, a recent request or a live lease, unless it said that it leaves after
 * all of these.
 */
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
export function workerStatus(worker: {
  enabled: boolean;
  liveLease: boolean;
  saidRendering: boolean;
}): "enabled" | "disabled" | "rendering" {
  if (!worker.enabled) return "disabled";
  return worker.liveLease || worker.saidRendering ? "rendering" : "enabled";
}
