/**
 * Copies an image into another format, tells how far it is, and can be ended half-way without leaving a half
 * image.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLamellaError, Lamella, type Progress } from 'lamella';

const MiB = 1024 * 1024;
const folder = await mkdtemp(join(tmpdir(), 'lamella-'));
const source = join(folder, 'disk.img');
const target = join(folder, 'disk.qcow2');
const lamella = new Lamella();

// #region progress
/** Draws a bar on one line, again and again; elsewhere than on a terminal, a line for each quarter. */
function progressBar(): (progress: Progress) => void {
  let quarter = -1;
  return ({ done, total }) => {
    const part = total === 0 ? 1 : done / total;
    const percent = `${Math.floor(part * 100)} %`.padStart(5);
    if (process.stdout.isTTY) {
      const bar = '█'.repeat(Math.floor(part * 40)).padEnd(40, '░');
      process.stdout.write(`\r${bar} ${percent}${part === 1 ? '\n' : ''}`);
    } else if (Math.floor(part * 4) > quarter) {
      quarter = Math.floor(part * 4);
      console.log(percent);
    }
  };
}
// #endregion progress

try {
  await lamella.create(source, { format: 'raw', size: 256 * MiB });
  {
    await using disk = await lamella.open(source, { format: 'raw', writable: true });
    for (let offset = 0; offset < disk.size; offset += 8 * MiB) {
      await disk.write(Buffer.alloc(2 * MiB, `block at ${offset}. `), offset);
    }
  }

  // #region convert
  // Ctrl-C ends the copy between two steps; the unfinished target is removed.
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());

  await lamella.convert(source, target, {
    sourceFormat: 'raw',
    format: 'qcow2',
    compress: true,
    signal: interrupt.signal,
    onProgress: progressBar(),
  });
  // #endregion convert

  // #region compare
  const { difference } = await lamella.compare(source, target, { format: 'raw' });
  console.log(difference === 'none' ? 'The copy is complete.' : 'The copy differs!');
  // #endregion compare

  // #region abort
  const abort = new AbortController();
  const given = join(folder, 'given-up.qcow2');
  try {
    await lamella.convert(source, given, {
      sourceFormat: 'raw',
      format: 'qcow2',
      signal: abort.signal,
      onProgress: ({ done, total }) => done * 2 > total && abort.abort(),
    });
  } catch (error) {
    if (!isLamellaError(error, 'ABORTED')) {
      throw error;
    }
    console.log(`Given up half-way: ${existsSync(given) ? 'a part is left!' : 'nothing is left.'}`);
  }
  // #endregion abort
} finally {
  await rm(folder, { recursive: true });
}
