/** Version of this package: what the ranges in a driver package's `peerDependencies` are compared with. */
export const CORE_VERSION = '0.1.0';
