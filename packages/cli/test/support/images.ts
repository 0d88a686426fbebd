import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcome } from '@lamella/test-support';

/** Files of two directories that are not both as they were in the directory they were copied from. */
export function changedFiles(original: string, one: string, other: string): readonly string[] {
  const names = new Set([...readdirSync(one), ...readdirSync(other)]);
  return [...names].sort().filter((name) => {
    return !(same(original, one, name) && same(original, other, name));
  });
}

function same(left: string, right: string, name: string): boolean {
  const [a, b] = [join(left, name), join(right, name)];
  return existsSync(a) && existsSync(b) && readFileSync(a).equals(readFileSync(b));
}

/** What qemu-img says of an image: `info`, `map`, `check`, without what may differ. */
export function describe(directory: string, name: string): Readonly<Record<string, unknown>> {
  if (!existsSync(join(directory, name))) {
    return { missing: true };
  }
  const format = formatOf(name);
  const known = format === undefined ? [] : ['-f', format];
  const qemu = (...words: string[]): string => {
    const { stdout, stderr } = outcome('qemu-img', words, { cwd: directory });
    return stdout === '' ? stderr : stdout;
  };
  return {
    info: withoutVariables(qemu('info', '--output=json', ...known, name)),
    // Where a raw image has holes is up to the file system.
    map: format === 'raw' ? [] : rows(qemu('map', '--output=json', ...known, name)),
    check: withoutVariables(qemu('check', '--output=json', ...known, name)),
  };
}

/** What depends on the moment, or on how a program lays out a file. */
const VARIABLE: ReadonlySet<string> = new Set([
  'actual-size',
  'date-sec',
  'date-nsec',
  'fragmented-clusters',
  'image-end-offset',
  'iters',
  'master-key-iters',
  'uuid',
]);

function withoutVariables(text: string): unknown {
  try {
    return JSON.parse(text, (key, value: unknown) => (VARIABLE.has(key) ? undefined : value));
  } catch {
    return text;
  }
}

/** The rows of `map` without places in the file; neighbours that then are alike count as one. */
function rows(text: string): readonly string[] {
  const result: string[] = [];
  let last = '';
  for (const [, start, flags] of text.matchAll(
    /"start": (\d+), "length": \d+, (.*?)(?:, "offset": \d+)?\}/g,
  )) {
    if (flags !== undefined && flags !== last) {
      result.push(`${start}: ${flags}`);
      last = flags;
    }
  }
  return result.length === 0 ? [text] : result;
}

/** What `qemu-img compare` says of the contents of a file in two directories. */
export function compareContents(one: string, other: string, name: string): string {
  const format = formatOf(name);
  const known = format === undefined ? [] : ['-f', format, '-F', format];
  const { stdout, stderr } = outcome('qemu-img', [
    'compare',
    ...known,
    join(one, name),
    join(other, name),
  ]);
  // Images that neither of them opens are compared by what is said of them.
  return stderr.includes('Could not open') ? IDENTICAL : stdout + stderr;
}

/** The answer for equal contents. */
export const IDENTICAL = 'Images are identical.\n';

function formatOf(name: string): string | undefined {
  return /\.(qcow2|qed|raw)$/.exec(name)?.[1];
}
