import { statSync } from 'node:fs';
import { outcome, paths, run } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';
import {
  contentOf,
  LARGE_QED,
  MIB,
  make,
  QCOW2,
  QCOW2_EXTENDED,
  QCOW2_V2,
  QED,
  RAW,
  scribble,
} from './support/chains.js';
import { pattern } from './support/files.js';
import { skipWithoutQemu } from './support/qemu.js';

const lamella = new Lamella();
const at = paths(t);
const SIZE = 9 * MIB + 512;

for (const overlay of [QED, LARGE_QED, QCOW2, QCOW2_V2, QCOW2_EXTENDED]) {
  for (const base of [RAW, QED, QCOW2]) {
    t.test(`commit: ${overlay.name} into ${base.name}`, skipWithoutQemu, async (t) => {
      const bottom = at('bottom.qcow2');
      const lower = at('lower.img');
      const upper = at('upper.img');
      await make(lamella, bottom, QCOW2, SIZE);
      await scribble(lamella, bottom, 'qcow2', 1);
      const deeper = base === RAW ? undefined : { location: 'bottom.qcow2', format: 'qcow2' };
      // Smaller than the overlay: it has to grow, and must not show what is below there.
      await make(lamella, lower, base, 6 * MIB, deeper);
      await scribble(lamella, lower, base.format, 2);
      await make(lamella, upper, overlay, SIZE, { location: 'lower.img', format: base.format });
      await scribble(lamella, upper, overlay.format, 3);
      const before = await contentOf(lamella, upper, overlay.format);
      const progress: number[] = [];
      const result = await lamella.commit(upper, {
        format: overlay.format,
        onProgress: ({ done, total }) => progress.push(done / total),
      });
      t.equal(result.emptied, true);
      t.ok(result.copied > MIB && result.copied <= SIZE);
      t.equal(progress.at(-1), 1);
      const below = await contentOf(lamella, lower, base.format);
      t.equal(Buffer.compare(below, before), 0, 'the base has it');
      t.equal(Buffer.compare(await contentOf(lamella, upper, overlay.format), before), 0);
      const top = await lamella.open(upper, { format: overlay.format });
      for await (const extent of top.extents()) {
        if (extent.layer === 0) {
          t.fail(`the overlay still holds ${extent.length} bytes at ${extent.offset}`);
        }
      }
      await top.close();
      for (const [path, { format }] of [
        [upper, overlay],
        [lower, base],
      ] as const) {
        if (format !== 'raw') {
          const { status, stdout, stderr } = outcome('qemu-img', ['check', '-f', format, path]);
          t.equal(status, 0, `qemu-img check: ${stdout}${stderr}`);
        }
      }
      t.match(
        run('qemu-img', 'compare', '-f', overlay.format, '-F', base.format, upper, lower),
        /identical/,
      );
    });
  }
}

t.test('an emptied QED overlay is as small as a new one', async (t) => {
  await make(lamella, at('b.raw'), RAW, SIZE);
  await make(lamella, at('o.qed'), QED, SIZE, { location: 'b.raw', format: 'raw' });
  const small = statSync(at('o.qed')).size;
  await scribble(lamella, at('o.qed'), 'qed', 5);
  t.ok(statSync(at('o.qed')).size > small);
  await lamella.commit(at('o.qed'));
  t.equal(statSync(at('o.qed')).size, small);
});

t.test('keep leaves the overlay as it is', async (t) => {
  await make(lamella, at('b.raw'), RAW, SIZE);
  await make(lamella, at('o.qed'), QED, SIZE, { location: 'b.raw', format: 'raw' });
  await scribble(lamella, at('o.qed'), 'qed', 6);
  const before = statSync(at('o.qed')).size;
  const result = await lamella.commit(at('o.qed'), { keep: true });
  t.equal(result.emptied, false);
  t.equal(statSync(at('o.qed')).size, before);
  t.equal(
    Buffer.compare(
      await contentOf(lamella, at('b.raw'), 'raw'),
      await contentOf(lamella, at('o.qed'), 'qed'),
    ),
    0,
  );
});

t.test('what cannot be committed', async (t) => {
  await make(lamella, at('alone.qed'), QED, MIB);
  await t.rejects(lamella.commit(at('alone.qed')), { code: 'INVALID_ARGUMENT' });
  await make(lamella, at('b.raw'), RAW, MIB);
  await make(lamella, at('o.qed'), QED, MIB, { location: 'b.raw', format: 'raw' });
  await t.rejects(lamella.commit(at('o.qed'), { references: 'deny' }), {
    code: 'REFERENCE_DENIED',
  });
});

t.test('aborted half-way, nothing is lost', async (t) => {
  await make(lamella, at('b.raw'), RAW, 64 * MIB);
  await make(lamella, at('o.qed'), QED, 64 * MIB, { location: 'b.raw', format: 'raw' });
  const disk = await lamella.open(at('o.qed'), { writable: true });
  await disk.write(pattern(1, 40 * MIB), 5 * MIB);
  await disk.close();
  const before = await contentOf(lamella, at('o.qed'), 'qed');
  const control = new AbortController();
  const stopped = lamella.commit(at('o.qed'), {
    signal: control.signal,
    onProgress: ({ done }) => {
      if (done > 20 * MIB) {
        control.abort();
      }
    },
  });
  await t.rejects(stopped, { code: 'ABORTED' });
  t.equal(Buffer.compare(await contentOf(lamella, at('o.qed'), 'qed'), before), 0);
  await lamella.commit(at('o.qed'));
  t.equal(Buffer.compare(await contentOf(lamella, at('b.raw'), 'raw'), before), 0);
});

t.test('a base whose format was only guessed does not become another one', async (t) => {
  await make(lamella, at('b.img'), RAW, MIB);
  await make(lamella, at('o.qed'), QED, MIB);
  // QED records no format but raw, so a name alone is a base to be guessed.
  await lamella.rebase(at('o.qed'), { backing: { location: 'b.img' }, unsafe: true });
  const disk = await lamella.open(at('o.qed'), { writable: true });
  await disk.write(Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1')]), 0);
  await disk.close();
  await t.rejects(lamella.commit(at('o.qed')), { code: 'FORMAT_CHANGE', location: at('b.img') });
  t.equal((await contentOf(lamella, at('b.img'), 'raw'))[0], 0);
});
