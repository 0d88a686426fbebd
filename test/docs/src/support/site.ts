import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './workspace.js';

/** The site that `npm run docs` makes. */
export const SITE = join(ROOT, 'docs/api');

/** What the site is made of. */
const INPUTS = [
  'README.md',
  'typedoc.json',
  'docs/architecture.md',
  'docs/guides',
  'examples',
  'packages',
];
const NOT_AN_INPUT = new Set(['node_modules', 'dist', 'build', '.tap', 'test', 'bin', 'golden']);
const INPUT = /(\.(ts|md|svg)|typedoc\.json)$/;

/**
 * Makes sure that the site is that of the present sources.
 *
 * @throws Error when it is missing or older than something that it is made of
 */
export function assertSiteIsCurrent(): void {
  const made = statSync(join(SITE, 'api.json'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const newer = INPUTS.flatMap((input) => changedSince(join(ROOT, input), made));
  if (newer.length > 0) {
    throw new Error(`docs/api is older than ${newer.slice(0, 5).join(', ')}: npm run docs`);
  }
}

/** What typedoc knows of all packages. */
export function readProject(): unknown {
  return JSON.parse(readFileSync(join(SITE, 'api.json'), 'utf8'));
}

function changedSince(path: string, time: number): readonly string[] {
  const stats = statSync(path);
  if (!stats.isDirectory()) {
    return INPUT.test(path) && stats.mtimeMs > time ? [path] : [];
  }
  return readdirSync(path)
    .filter((name) => !NOT_AN_INPUT.has(name))
    .flatMap((name) => changedSince(join(path, name), time));
}
