/**
 * The official builds of Node that the join scripts fetch where a machine has none: the version, and the
 * SHA-256 of each archive as nodejs.org publishes it (https://nodejs.org/dist/v24.15.0/SHASUMS256.txt).
 */
export const NODE_VERSION = "24.15.0";

/** By platform and architecture, as the archive's name has them with a hyphen between. */
export const NODE_ARCHIVES = {
  linux: {
    x64: "44836872d9aec49f1e6b52a9a922872db9a2b02d235a616a5681b6a85fec8d89",
    arm64: "73afc234d558c24919875f51c2d1ea002a2ada4ea6f83601a383869fefa64eed",
  },
  darwin: {
    x64: "ffd5ee293467927f3ee731a553eb88fd1f48cf74eebc2d74a6babe4af228673b",
    arm64: "372331b969779ab5d15b949884fc6eaf88d5afe87bde8ba881d6400b9100ffc4",
  },
  win: {
    x64: "cc5149eabd53779ce1e7bdc5401643622d0c7e6800ade18928a767e940bb0e62",
    arm64: "c9eb7402eda26e2ba7e44b6727fc85a8de56c5095b1f71ebd3062892211aa116",
  },
} as const;
