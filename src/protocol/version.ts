/** The version of manager, agent and command line: one, for they are released together. A test holds it to package.json. */
export const VERSION = "0.1.0";
