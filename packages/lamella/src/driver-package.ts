import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CORE_VERSION, LamellaError } from '@lamella/core';
import satisfies from 'semver/functions/satisfies.js';
import validRange from 'semver/ranges/valid.js';
import type { BlockDriverClass } from './options.js';

/** The packages by whose version a driver says which interfaces it was built for; they have one version. */
const INTERFACES = ['@lamella/core', 'lamella'];
/** Where a package may say so; what it only develops with counts for nothing. */
const DEPENDENCIES = ['peerDependencies', 'dependencies'];

/**
 * Loads a package and finds its drivers.
 *
 * @param name - of a package, or a path
 * @param from - folder that it is looked for from
 * @returns at least one class; whether it makes a driver is for whoever registers it to find out
 * @throws LamellaError `DRIVER_NOT_FOUND`, `DRIVER_INCOMPATIBLE`, `DRIVER_FAILED`
 */
export async function loadDrivers(
  name: string,
  from: string,
): Promise<readonly BlockDriverClass[]> {
  const entry = findEntry(name, from);
  assertFits(name, entry);
  const loaded = await load(name, entry);
  const drivers = driverClasses(loaded);
  if (drivers.length === 0) {
    throw new LamellaError('DRIVER_NOT_FOUND', `the package '${name}' exports no driver`, {
      location: entry,
      hint: 'Drivers are classes: the default export, and exports whose names end in Driver.',
    });
  }
  return drivers;
}

function findEntry(name: string, from: string): string {
  const require = createRequire(join(from, 'package.json'));
  try {
    return require.resolve(name);
  } catch (cause) {
    const entry = codeOf(cause) === 'ERR_PACKAGE_PATH_NOT_EXPORTED' && findModule(name, require);
    if (typeof entry === 'string') {
      return entry;
    }
    throw new LamellaError('DRIVER_NOT_FOUND', `there is no driver package '${name}'`, {
      hint: `Install it in ${from} or above (npm install ${name || 'NAME'}); a path to a file begins with ./ or /.`,
      cause,
    });
  }
}

/** The entry of a package that is for `import` only, which `require` does not find. */
function findModule(name: string, require: NodeJS.Require): string | undefined {
  for (const folder of require.resolve.paths(name) ?? []) {
    const { exports } = readManifest(join(folder, name, 'package.json')) ?? {};
    const main = isRecord(exports) && isRecord(exports['.']) ? exports['.'] : exports;
    const file = isRecord(main) ? (main.node ?? main.import) : undefined;
    const entry = isRecord(file) ? (file.import ?? file.default) : file;
    if (typeof entry === 'string') {
      return join(folder, name, entry);
    }
  }
  return undefined;
}

/** Before anything of it runs: what was built for other interfaces may fail in any way. */
function assertFits(name: string, entry: string): void {
  const manifest = manifestOf(entry);
  const ranges = DEPENDENCIES.flatMap((kind) => {
    const list = manifest?.[kind];
    return isRecord(list) ? INTERFACES.map((dependency) => list[dependency]) : [];
  });
  // Ranges without a version (workspace:, file:, tags) say nothing.
  const range = ranges.find(
    (each): each is string => typeof each === 'string' && validRange(each) !== null,
  );
  if (range !== undefined && !satisfies(CORE_VERSION, range, { includePrerelease: true })) {
    throw new LamellaError(
      'DRIVER_INCOMPATIBLE',
      `the driver package '${name}' was built for @lamella/core ${range}, this is ${CORE_VERSION}`,
      { location: entry, hint: 'Install releases of the driver and of Lamella that go together.' },
    );
  }
}

async function load(name: string, entry: string): Promise<unknown> {
  try {
    return await import(pathToFileURL(entry).href);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LamellaError(
      'DRIVER_FAILED',
      `the driver package '${name}' can't be loaded: ${why}`,
      {
        location: entry,
        hint: 'This is a fault of the package, or of how it was installed.',
        cause,
      },
    );
  }
}

/** The nearest package.json above a file that is one of a package. */
function manifestOf(file: string): Readonly<Record<string, unknown>> | undefined {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const manifest = readManifest(join(folder, 'package.json'));
    if (typeof manifest?.name === 'string' || dirname(folder) === folder) {
      return manifest;
    }
  }
}

/** Undefined for one that is not there or can't be read: Node.js reports that when it matters. */
function readManifest(file: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isRecord(manifest) ? manifest : undefined;
  } catch {
    return undefined;
  }
}

function driverClasses(loaded: unknown): readonly BlockDriverClass[] {
  const found = new Set<BlockDriverClass>();
  for (const [name, value] of Object.entries(isRecord(loaded) ? loaded : {})) {
    if ((name === 'default' || name.endsWith('Driver')) && isClass(value)) {
      found.add(value);
    }
  }
  return [...found];
}

/** What the class makes is looked at when it is registered. */
function isClass(value: unknown): value is BlockDriverClass {
  return typeof value === 'function' && value.prototype !== undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
