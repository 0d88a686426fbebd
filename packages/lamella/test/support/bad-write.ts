import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorCode, Lamella } from 'lamella';
import type { Test } from 'tap';
import { explains } from './bad-image.js';
import { failure, openFilesIn, photograph, sandbox } from './sandbox.js';

/** Opens an image that is fit for reading only: for writing it must be refused, and left as it is. */
export async function refusesToWrite(
  t: Test,
  bytes: Uint8Array,
  code: ErrorCode,
  title: string,
): Promise<void> {
  const directory = sandbox(t);
  const path = join(directory, 'read-only.img');
  writeFileSync(path, bytes);
  const before = photograph(directory);
  const lamella = new Lamella();
  const error = await failure(async () => {
    const disk = await lamella.open(path, { writable: true });
    await disk.close();
  });
  explains(t, error, path, title, code);
  t.same(photograph(directory), before, `${title}: nothing is written`);
  const disk = await lamella.open(path);
  await disk.read(new Uint8Array(512), 0);
  await disk.close();
  t.same(photograph(directory), before, `${title}: reading writes nothing`);
  t.same(openFilesIn(directory), [], `${title}: no file stays open`);
}
