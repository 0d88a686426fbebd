/** Commands that look at all of an image beside those of `qemu-img`: whole processes, page cache warm. */
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { printColumns, runSideBySide } from './side-by-side.js';

const IMAGE = ['-f', 'qcow2', '-o', 'preallocation=metadata'];

/**
 * Prints medians in seconds.
 *
 * @param folder - for files of some 3 GiB altogether
 */
export async function compareWholeImages(folder: string, rounds: number): Promise<void> {
  const large = join(folder, 'whole-large.qcow2');
  const changed = join(folder, 'whole-changed.qcow2');
  const full = ['a', 'b'].map((name) => join(folder, `whole-${name}.raw`));
  const nothing = async (): Promise<void> => undefined;
  console.log('\nqcow2 of 1 TiB with all its L2 tables, and two files of 512 MiB; seconds');
  printColumns();
  execFileSync('qemu-img', ['create', '-q', ...IMAGE, large, '1T']);
  for (const path of full) {
    execFileSync('qemu-img', ['create', '-q', '-f', 'raw', path, '512M']);
    execFileSync('qemu-io', ['-f', 'raw', '-c', 'write -q -P 7 0 512M', path]);
  }
  try {
    await runSideBySide('check', ['check', '-f', 'qcow2', large], rounds, nothing);
    await runSideBySide('map', ['map', '-f', 'qcow2', large], rounds, nothing);
    const measure = ['measure', '-O', 'qcow2', '-f', 'qcow2', large];
    await runSideBySide('measure', measure, rounds, nothing);
    const snapshot = ['snapshot', '-c', 'one', changed];
    await runSideBySide('snapshot -c', snapshot, rounds, async () => {
      await rm(changed, { force: true });
      execFileSync('cp', ['--sparse=always', large, changed]);
      execFileSync('sync');
    });
    const compare = ['compare', '-f', 'raw', '-F', 'raw', ...full];
    await runSideBySide('compare', compare, rounds, nothing);
  } finally {
    await Promise.all([large, changed, ...full].map((path) => rm(path, { force: true })));
  }
}
