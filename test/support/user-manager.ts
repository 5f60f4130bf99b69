/**
 * A user manager of systemd for one test, where the machine itself was not started by systemd, such as a
 * container. It gets a control group and a view of the file system of its own, which needs root.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { startChild, type Child } from "./child.ts";
import { until } from "./wait.ts";

export interface UserManager {
  /** What its `systemctl --user` needs. */
  env: { HOME: string; XDG_RUNTIME_DIR: string };
  /** The command in front of those that are to see a machine which systemd started. */
  enter: readonly [string, ...string[]];
  /** End it, and what it started. */
  end(): Promise<void>;
}

/** $1: a folder to mount in, $2: the name of the control group. */
const START = `
set -e
mount -t cgroup2 none "$1"
mkdir "$1/$2"
echo $$ >"$1/$2/cgroup.procs"
umount "$1"
exec unshare --cgroup --mount sh -c '
  set -e
  umount -R /sys/fs/cgroup
  mount -t cgroup2 none /sys/fs/cgroup
  # It asks this folder whether systemd started the machine.
  mkdir -p /run/systemd
  mount -t tmpfs none /run/systemd
  mkdir /run/systemd/system
  exec /lib/systemd/systemd --user --log-target=console'
`;

const REMOVE = `
mount -t cgroup2 none "$1"
if [ -d "$1/$2" ]; then find "$1/$2" -depth -type d -exec rmdir {} +; fi
`;

/** Start a user manager whose user has this home, in a folder of the test. */
export async function startUserManager(folder: string, home: string): Promise<UserManager> {
  const runtime = path.join(folder, "run");
  const mounted = path.join(folder, "mounted");
  for (const each of [runtime, mounted]) mkdirSync(each, { mode: 0o700 });
  const group = `tablao-test-${process.pid}`;
  const env = { HOME: home, XDG_RUNTIME_DIR: runtime };
  const isolated = (script: string): Child =>
    startChild("unshare", ["--mount", "sh", "-c", script, "sh", mounted, group], {
      env: { PATH: process.env["PATH"], ...env },
      cwd: folder,
    });
  const child = isolated(START);
  const systemctl = async (...args: string[]): Promise<string> => {
    const ran = startChild("systemctl", ["--user", ...args], { env: { PATH: process.env["PATH"], ...env } });
    await ran.ended;
    return ran.stdout().trim();
  };
  await until(
    async () => {
      if (!child.running()) throw new Error(`systemd ended: ${child.stderr()}${child.stdout()}`);
      return (await systemctl("show", "default.target", "--value", "--property=ActiveState")) === "active";
    },
    { what: "systemd's user manager runs" },
  );
  return {
    env,
    enter: ["nsenter", "--target", String(child.pid), "--mount", "--"],
    end: async () => {
      await systemctl("exit");
      await child.end("SIGKILL");
      await isolated(REMOVE).ended;
    },
  };
}
