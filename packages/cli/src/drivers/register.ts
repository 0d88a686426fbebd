import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BlockDriverClass, Lamella } from 'lamella';

/**
 * Adds the drivers of packages. A package gives a driver class as its default export, or one or several
 * classes as exports whose names end in `Driver`.
 *
 * @param packages - names, found from the working directory on, or paths
 * @throws Error for a package that can't be loaded or has no driver
 */
export async function registerDrivers(
  lamella: Lamella,
  packages: readonly string[],
): Promise<void> {
  const resolve = createRequire(join(process.cwd(), 'package.json')).resolve;
  for (const name of new Set(packages)) {
    const loaded: unknown = await import(pathToFileURL(resolve(name)).href);
    const classes = driverClasses(loaded);
    if (classes.length === 0) {
      throw new Error(`${name} exports no driver`);
    }
    for (const driver of classes) {
      lamella.register(driver);
    }
  }
}

function driverClasses(loaded: unknown): readonly BlockDriverClass[] {
  if (typeof loaded !== 'object' || loaded === null) {
    return [];
  }
  const found = new Set<BlockDriverClass>();
  for (const [name, value] of Object.entries(loaded)) {
    if ((name === 'default' || name.endsWith('Driver')) && isClass(value)) {
      found.add(value);
    }
  }
  return [...found];
}

/** What the class makes is looked at by the library when it is registered. */
function isClass(value: unknown): value is BlockDriverClass {
  return typeof value === 'function' && value.prototype !== undefined;
}
