import { copyFileSync } from 'node:fs';
import { paths, run } from '@lamella/test-support';
import { CACHE_MODES, isLamellaError, Lamella } from 'lamella';
import t from 'tap';
import { attempt } from './qemu-process.js';
import { needsQemu } from './support/qemu.js';

const SIZE = 8 * 1024 * 1024;
const lamella = new Lamella();

for (const format of ['raw', 'qcow2', 'qed']) {
  for (const cache of CACHE_MODES) {
    t.test(`${format}, ${cache}`, needsQemu, async (t) => {
      const at = paths(t);
      run('qemu-img', 'create', '-q', '-f', format, at('image'), `${SIZE}`);
      try {
        await using disk = await lamella.open(at('image'), { format, writable: true, cache });
        const writes = [
          [0, 65_536],
          [100_000, 3000],
          [1_000_001, 511],
          [SIZE - 70_000, 70_000],
        ] as const;
        await Promise.all(
          writes.map(([offset, length]) => disk.write(Buffer.alloc(length, 0x5a), offset)),
        );
        await disk.writeZeroes(0, 4096);
        const durable = cache === 'writethrough' || cache === 'directsync';
        // What a crash now would leave, as far as the file system keeps what it was given.
        copyFileSync(at('image'), at('crashed'));
        const read = ['-c', 'read -P 0x5a 100000 3000', '-c', 'read -P 0 0 4096'];
        const seen = attempt('qemu-io', '-r', '-f', format, ...read, at('crashed'));
        if (durable || format === 'raw') {
          t.notMatch(seen.said, /failed|error/i, 'there without a flush, mapping included');
        } else {
          t.match(seen.said, /verification failed/, 'the mapping waits for a flush');
        }
      } catch (error) {
        if (isLamellaError(error, 'UNSUPPORTED') && /O_DIRECT/.test(error.message)) {
          t.pass('past the page cache', { skip: error.message });
          return;
        }
        throw error;
      }
      const reads = [
        ['-c', 'read -P 0 0 4096', '-c', 'read -P 0x5a 4096 61440'],
        ['-c', 'read -P 0x5a 1000001 511', '-c', `read -P 0x5a ${SIZE - 70_000} 70000`],
      ].flat();
      const seen = attempt('qemu-io', '-r', '-f', format, ...reads, at('image'));
      t.notMatch(seen.said, /failed|error/i);
      if (format !== 'raw') {
        t.match(attempt('qemu-img', 'check', '-f', format, at('image')), { status: 0 });
      }
    });
  }
}

t.test('no such cache mode', async (t) => {
  const options = JSON.parse('{ "cache": "fast" }');
  await t.rejects(lamella.open('x', options), { code: 'INVALID_ARGUMENT', hint: /writethrough/ });
});
