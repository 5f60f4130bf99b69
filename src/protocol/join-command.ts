/**
 * The command that makes a machine a worker, as the page, the command line and `npm start` show it.
 * Pure.
 *
 * It names a file of the checkout: the name of the package is not published, so `npx tablao` elsewhere
 * would run the package of whoever takes the name. And the token is in the environment, which only the
 * owner of a process can read; everybody on a machine can read the arguments.
 */

/** The command line of a checkout. Anywhere else Node says that there is no such file. */
export const CHECKOUT_COMMAND = "node src/cli/tablao.js";

/** The command for a shell of Linux or macOS, in a checkout after `npm install`. */
export function joinCommand(managerUrl: string, token: string): string {
  return `TABLAO_JOIN=${token} ${CHECKOUT_COMMAND} worker --manager ${managerUrl}`;
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
