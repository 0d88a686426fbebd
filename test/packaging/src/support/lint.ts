import { readFile } from 'node:fs/promises';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import type { Package } from './packages.js';

/** Our packages are ES modules only: that `require` gets one is no mistake, and Node.js 10 is not served. */
const MEANT = ['CJSResolvesToESM', 'NoResolution'];
const SERVED = ['node16-esm', 'bundler'];

/** What attw says of the types in a tarball. */
export async function typeProblems(tarball: string): Promise<unknown[]> {
  const bytes = new Uint8Array(await readFile(tarball));
  const analysis = await checkPackage(createPackageFromTarballData(bytes));
  if (!('problems' in analysis)) {
    return ['there are no types'];
  }
  return analysis.problems.filter((problem) => {
    const { kind } = problem;
    const served = !('resolutionKind' in problem) || SERVED.includes(problem.resolutionKind);
    return served || !MEANT.includes(kind);
  });
}

/** What publint says of a package. */
export async function manifestProblems({ folder, manifest }: Package): Promise<unknown[]> {
  const { messages } = await publint({ pkgDir: folder, strict: true });
  return messages.map((message) => formatMessage(message, JSON.parse(JSON.stringify(manifest))));
}
