import type { Lamella } from 'lamella';

/**
 * Adds the drivers of packages.
 *
 * @param packages - names, found from the working directory on, or paths
 * @throws LamellaError as `Lamella.registerPackage`
 */
export async function registerDrivers(
  lamella: Lamella,
  packages: readonly string[],
): Promise<void> {
  for (const name of new Set(packages)) {
    await lamella.registerPackage(name);
  }
}
