import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The workspace. */
export const ROOT = fileURLToPath(new URL('../../../../../', import.meta.url));

/** What a package says of itself. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly description?: string;
  readonly private?: boolean;
  readonly exports?: unknown;
  readonly bin?: Readonly<Record<string, string>>;
  readonly files?: readonly string[];
  readonly sideEffects?: boolean | readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** A package of ours that is published. */
export interface Package {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** All packages that are published. */
export function packages(): readonly Package[] {
  return packagesIn('packages').filter(({ manifest }) => manifest.private !== true);
}

/** The drivers among the examples: packages as a third party would publish them. */
export function exampleDrivers(): readonly Package[] {
  return packagesIn('examples');
}

function packagesIn(directory: string): readonly Package[] {
  return readdirSync(join(ROOT, directory))
    .map((name) => join(ROOT, directory, name))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => ({ folder, manifest: readManifest(join(folder, 'package.json')) }));
}

/** Packs a package as `npm publish` would. */
export async function pack({ folder, manifest }: Package, target: string): Promise<string> {
  await run('npm', ['pack', '--silent', '--pack-destination', target], { cwd: folder });
  const name = manifest.name.replace('@', '').replace('/', '-');
  return join(target, `${name}-${manifest.version}.tgz`);
}

/** Names of the files in a tarball. */
export async function filesIn(tarball: string): Promise<readonly string[]> {
  const { stdout } = await run('tar', ['-tzf', tarball]);
  return stdout.trim().split('\n');
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8'));
}
