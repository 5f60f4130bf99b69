/**
 * What the agent reports of its machine: the fields of the 2015 API, measured with
 * systeminformation.
 */
import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { arch, availableParallelism, hostname, loadavg, networkInterfaces, release, type } from "node:os";
import si from "systeminformation";
import type { Platform } from "../protocol/plan.ts";
import type { WorkerRegister } from "../protocol/worker.ts";

/** The platform as plans name it. Throws on systems that no compiler makes commands for. */
export function platformOf(platform: NodeJS.Platform = process.platform): Platform {
  if (platform === "linux" || platform === "darwin") return platform;
  if (platform === "win32") return "windows";
  throw new Error(`Tablao's agent runs on Linux, macOS and Windows, not on ${platform}`);
}

/**
 * `02:42:ac:11:00:02` → 2485377892354; undefined for text that is no address, and for all zeros.
 */
export function macAsInteger(mac: string): number | undefined {
  if (!/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac)) return undefined;
  const value = Number.parseInt(mac.replace(/[:-]/g, ""), 16);
  return value === 0 ? undefined : value;
}

function macAddress(): number | undefined {
  const outward = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => !address.internal);
  for (const { mac } of outward) {
    const value = macAsInteger(mac);
    if (value !== undefined) return value;
  }
  return undefined;
}

/**
 * An id of this machine that its name does not change: a hash of what the system calls itself
 * (machine-id, IOPlatformUUID, MachineGuid), which is not to be handed out. Undefined where there is
 * none, as in many containers.
 */
export async function machineId(): Promise<string | undefined> {
  const os = await within(
    MEASURE_MS,
    si.uuid().then((ids) => ids.os),
    "",
  );
  return /[0-9a-f]{8}/i.test(os)
    ? createHash("sha256").update(`tablao machine ${os}`).digest("hex").slice(0, 32)
    : undefined;
}

/** What does not change while the agent runs. */
export function describeMachine(): Pick<WorkerRegister, "hostname" | "system" | "platform" | "mac_address"> {
  const mac = macAddress();
  return {
    hostname: hostname(),
    system: `${type()} ${release()}`,
    platform: platformOf(),
    ...(mac !== undefined && { mac_address: mac }),
  };
}

/** A hanging network disk must not keep the agent from asking for work. */
const MEASURE_MS = 5_000;

/**
 * What changes: load, memory, and the disk of `folder`, in percent. Never rejects: what cannot be
 * measured is 0.
 */
export async function measureMachine(
  folder: string,
): Promise<Pick<WorkerRegister, "update_frequent" | "update_less_frequent">> {
  const [one, five, fifteen] = loadavg() as [number, number, number];
  const [cpu, memory, disk] = await Promise.all([
    within(
      MEASURE_MS,
      si.currentLoad().then((load) => load.currentLoad),
      0,
    ),
    within(
      MEASURE_MS,
      si.mem().then((mem) => ((mem.total - mem.available) / mem.total) * 100),
      0,
    ),
    within(
      MEASURE_MS,
      statfs(folder).then((fs) => ((fs.blocks - fs.bavail) / fs.blocks) * 100),
      0,
    ),
  ]);
  return {
    update_frequent: {
      load_average: { "1min": round(one), "5min": round(five), "15min": round(fifteen) },
      worker_cpu_percent: round(cpu),
    },
    update_less_frequent: {
      worker_architecture: arch(),
      worker_disk_percent: round(disk),
      worker_mem_percent: round(memory),
      worker_num_cpus: availableParallelism(),
    },
  };
}

/** Bytes that this user can still write on the disk of `folder`. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** 0 for what is no number or below 0. */
function round(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.round(value * 100) / 100 : 0;
}

/** The value, or `otherwise` when it takes longer than `ms` or cannot be had. */
async function within<T>(ms: number, value: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => (timer = setTimeout(() => resolve(otherwise), ms)));
  try {
    return await Promise.race([value.catch(() => otherwise), late]);
  } finally {
    clearTimeout(timer);
  }
}
