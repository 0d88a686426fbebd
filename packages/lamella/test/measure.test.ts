import { statSync } from 'node:fs';
import { Lamella } from 'lamella';
import t from 'tap';
import { MIB, make, QCOW2, RAW, scribble } from './support/chains.js';
import { directory } from './support/files.js';
import { run, skipWithoutQemu } from './support/qemu.js';

const lamella = new Lamella();
const at = directory(t);

function theirs(...words: readonly string[]): { required: number; 'fully-allocated': number } {
  return JSON.parse(run('qemu-img', 'measure', '--output=json', ...words));
}

t.test('an empty image', skipWithoutQemu, async (t) => {
  for (const size of [0, 1, 20 * 1024 * MIB]) {
    for (const options of [
      {},
      { cluster_size: 4096 },
      { extended_l2: true, preallocation: 'full' },
    ]) {
      const text = Object.entries(options).map(
        ([name, value]) => `${name}=${value === true ? 'on' : value}`,
      );
      const words = text.length === 0 ? [] : ['-o', text.join(',')];
      const { required, fullyAllocated } = await lamella.measure(size, {
        format: 'qcow2',
        options,
      });
      t.same(
        { required, 'fully-allocated': fullyAllocated },
        theirs('-O', 'qcow2', ...words, '--size', String(size)),
        `${size} ${text}`,
      );
    }
  }
});

t.test('a copy takes what was measured', skipWithoutQemu, async (t) => {
  await make(lamella, at('source.img'), QCOW2, 9 * MIB);
  await scribble(lamella, at('source.img'), 'qcow2', 4);
  const options = { cluster_size: 65536 };
  for (const format of ['qcow2', 'raw']) {
    const measured = await lamella.measure(at('source.img'), {
      format,
      options: format === 'raw' ? {} : options,
    });
    t.equal(measured.required, theirs('-O', format, at('source.img')).required, format);
  }
  await lamella.convert(at('source.img'), at('copy.qcow2'), { format: 'qcow2', options });
  const { required } = await lamella.measure(at('source.img'), { format: 'qcow2', options });
  t.ok(statSync(at('copy.qcow2')).size <= required, 'no more than that');
});

t.test('what cannot be measured', async (t) => {
  await make(lamella, at('plain.raw'), RAW, MIB);
  await t.rejects(lamella.measure(MIB, { format: 'none' }), { code: 'UNKNOWN_FORMAT' });
  await t.rejects(lamella.measure(-1, { format: 'qcow2' }), { code: 'INVALID_ARGUMENT' });
  await t.rejects(lamella.measure(MIB, { format: 'qcow2', options: { speed: 3 } }), {
    code: 'INVALID_ARGUMENT',
  });
  await t.rejects(lamella.measure(at('absent'), { format: 'raw' }), { code: 'NOT_FOUND' });
  const signal = AbortSignal.abort();
  await t.rejects(lamella.measure(at('plain.raw'), { format: 'qcow2', signal }), {
    code: 'ABORTED',
  });
});
