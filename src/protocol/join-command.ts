/**
 * The line that makes a machine a worker, as the page, the command line and `npm start` show it. Pure.
 *
 * It fetches a script and the program from the manager itself. It never names a package: the package's name
 * is not published, so `npx tablao` would run the package of whoever takes the name. The token is in the
 * environment, which only the owner of a process can read; everybody on a machine can read the arguments.
 */

/** The command line of a checkout. Anywhere else Node says that there is no such file. */
export const CHECKOUT_COMMAND = "node src/cli/tablao.js";

export interface JoinLineOptions {
  /** The worker becomes a service, which starts with the machine. */
  service?: boolean;
}

/** The line for a shell of Linux or macOS. */
export function joinCommand(managerUrl: string, token: string, { service = false }: JoinLineOptions = {}): string {
  return `curl -fsS ${managerUrl}/join.sh | TABLAO_JOIN=${token}${service ? " TABLAO_SERVICE=1" : ""} sh`;
}

/** The line for PowerShell on Windows. */
export function joinCommandWindows(
  managerUrl: string,
  token: string,
  { service = false }: JoinLineOptions = {},
): string {
  return `$env:TABLAO_JOIN='${token}';${service ? " $env:TABLAO_SERVICE='1';" : ""} irm ${managerUrl}/join.ps1 | iex`;
}

/** Whether only the manager's own machine can reach this address. */
export function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return (
    hostname === "localhost" ||
    hostname.endsWith(".localhost") ||
    hostname === "[::1]" ||
    /^127(\.\d+){3}$/.test(hostname)
  );
}
