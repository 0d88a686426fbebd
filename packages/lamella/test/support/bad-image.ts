import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChainOptions, type ErrorCode, Lamella, type LamellaError } from 'lamella';
import type { Test } from 'tap';
import { failure, openFilesIn, photograph, sandbox } from './sandbox.js';

const lamella = new Lamella();

/** An image that must not open, or, with `when: 'read'`, that must not be read. */
export interface BadImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly code: ErrorCode | readonly ErrorCode[];
  /** When the error comes; `open` by default. */
  readonly when?: 'open' | 'read';
  /** Which guest byte to read, with `when: 'read'`; 0 by default. */
  readonly offset?: number;
}

/**
 * Opens bad images read-only and for writing: each must end with a LamellaError that says what, where
 * and what to do, write nothing and leave no file open.
 */
export async function refuses(
  t: Test,
  format: string | undefined,
  images: readonly BadImage[],
): Promise<void> {
  const directory = sandbox(t);
  const path = join(directory, 'bad.img');
  for (const image of images) {
    // A new file each time: two writes within one tick of the clock would leave one mtime.
    rmSync(path, { force: true });
    writeFileSync(path, image.bytes);
    for (const writable of [false, true]) {
      const title = `${image.name}${writable ? ', for writing' : ''}`;
      const before = photograph(directory);
      const error = await failureOf(image, path, { format, writable }).catch((other: unknown) => {
        t.fail(`${title}: ${other instanceof Error ? other.message : other}`);
      });
      if (error !== undefined) {
        explains(t, error, path, title, image.code);
      }
      t.same(photograph(directory), before, `${title}: nothing is written`);
      t.same(openFilesIn(directory), [], `${title}: no file stays open`);
    }
  }
}

async function failureOf(
  image: BadImage,
  path: string,
  options: ChainOptions,
): Promise<LamellaError> {
  if (image.when !== 'read') {
    return failure(async () => {
      const disk = await lamella.open(path, options);
      await disk.close();
    });
  }
  await using disk = await lamella.open(path, options);
  return failure(() => disk.read(new Uint8Array(512), image.offset ?? 0));
}

/** An error is a good one when it has the code, names the file and tells what to do. */
export function explains(
  t: Test,
  error: LamellaError,
  location: string,
  title: string,
  code: ErrorCode | readonly ErrorCode[],
): void {
  const codes: readonly string[] = typeof code === 'string' ? [code] : code;
  t.ok(
    codes.includes(error.code),
    `${title}: ${error.code}, expected ${codes.join(' or ')}: ${error.message}`,
  );
  t.equal(error.location, location, `${title}: says where`);
  t.match(error.hint, /\S{3}/, `${title}: says what to do: ${error.hint}`);
  t.ok(error.message.includes(location) && error.problem.length > 5, `${title}: ${error.message}`);
}
