/**
 * The version of manager, agent and command line, which are released together. A test fails when it
 * differs from that of package.json.
 */
export const VERSION = "0.2.0";
