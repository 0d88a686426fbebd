import { existsSync, linkSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lamella } from 'lamella';
import t from 'tap';
import { be64, edited, QCOW2 } from './support/edits.js';
import { diskSum, golden, goldenSum, place, readAll } from './support/golden.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';

const KIB = 1024;
const lamella = new Lamella();

t.test('parts that do not name each other make one disk', async (t) => {
  const directory = sandbox(t);
  const base = join(directory, 'base.raw');
  writeFileSync(base, new Uint8Array(64 * KIB).fill(3));
  const middle = join(directory, 'middle.qcow2');
  await lamella.create(middle, { format: 'qcow2', size: 64 * KIB, options: { cluster_size: 512 } });
  {
    await using disk = await lamella.open(middle, { writable: true });
    await disk.write(new Uint8Array(1024).fill(4), 10_240);
  }
  const before = photograph(directory);
  const top = join(directory, 'top.qed');
  await using disk = await lamella.compose([
    { location: top, format: 'qed', create: true, options: { cluster_size: '4k' } },
    { location: middle },
    { location: base, format: 'raw' },
  ]);
  t.equal(disk.size, 64 * KIB, 'size taken from below');
  t.equal(disk.isWritable, true, 'a top that was made is writable');
  t.same(
    disk.layers.map(({ format, location, writable }) => [format, location, writable]),
    [
      ['qed', top, true],
      ['qcow2', middle, false],
      ['raw', base, false],
    ],
  );
  await disk.write(new Uint8Array(100).fill(5), 10_500);
  const expected = new Uint8Array(64 * KIB).fill(3).fill(4, 10_240, 11_264).fill(5, 10_500, 10_600);
  t.ok(Buffer.from(expected).equals(await readAll(disk)));
  await disk.close();
  const { 'top.qed': made, ...rest } = photograph(directory);
  t.ok(made, 'the new file');
  t.same(rest, before, 'nothing else was written');
  t.same(openFilesIn(directory), []);
});

t.test('the last part brings its own chain, the others do not', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw', 'v3.qcow2');
  await using own = await lamella.compose([
    { location: join(directory, 'v3.qcow2') },
    { location: join(directory, 'middle.qcow2') },
  ]);
  t.same(
    own.layers.map(({ format }) => format),
    ['qcow2', 'qcow2', 'raw'],
  );
  await using single = await lamella.compose([{ location: path }]);
  t.equal(await diskSum(single), goldenSum('top.qed'), 'one part is as good as open');

  // top.qed names middle.qcow2, which must not be looked at: the caller says what is below.
  await using replaced = await lamella.compose([
    { location: path },
    { location: join(directory, 'base.raw'), format: 'raw' },
  ]);
  t.same(
    replaced.layers.map(({ format }) => format),
    ['qed', 'raw'],
  );
  t.equal(replaced.missingBacking, undefined);
  const bytes = await readAll(replaced);
  t.equal(bytes[12 * KIB], 0x71, 'read from the base, not zeroes of the middle');
  t.equal(bytes[70 * KIB], 0, 'past the base: zeroes, not an error');
});

t.test('references of the last part obey the policy', async (t) => {
  const directory = sandbox(t);
  place(directory, 'top.qed', 'middle.qcow2', 'base.raw', 'v3.qcow2');
  const parts = [
    { location: join(directory, 'v3.qcow2') },
    { location: join(directory, 'middle.qcow2') },
  ];
  await using disk = await lamella.compose(parts, { references: 'deny' });
  t.equal(disk.layers.length, 2);
  t.match(disk.missingBacking, { reference: 'base.raw' });
  const error = await failure(() => lamella.compose(parts, { references: () => false }));
  t.equal(error.code, 'REFERENCE_DENIED');
  await disk.close();
  t.same(openFilesIn(directory), []);
});

t.test('failing half way closes all files and keeps them as they are', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw', 'v3.qcow2');
  const broken = join(directory, 'broken.qcow2');
  writeFileSync(broken, edited(golden('v3.qcow2'), be64(QCOW2.l1Offset, 513n)));
  const hardLink = join(directory, 'link.qcow2');
  linkSync(join(directory, 'v3.qcow2'), hardLink);
  const before = photograph(directory);
  const good = { location: join(directory, 'v3.qcow2') };
  const chain = { location: path };
  const cases = [
    { parts: [], code: 'INVALID_ARGUMENT' },
    { parts: [good, { location: broken }, chain], code: 'INVALID_HEADER' },
    { parts: [{ location: broken }, good, chain], code: 'INVALID_HEADER' },
    { parts: [good, { location: join(directory, 'absent') }, chain], code: 'NOT_FOUND' },
    { parts: [good, { location: hardLink }], code: 'CHAIN_LOOP' },
    { parts: [{ location: path, create: true, format: 'qed' }, good], code: 'ALREADY_EXISTS' },
    { parts: [{ location: join(directory, 'new'), create: true }, good], code: 'INVALID_ARGUMENT' },
    {
      parts: [{ location: join(directory, 'new'), create: true, format: 'vhdx' }, good],
      code: 'UNKNOWN_FORMAT',
    },
    {
      parts: [
        { location: join(directory, 'new'), create: true, format: 'qed', options: { colour: 1 } },
        good,
      ],
      code: 'INVALID_ARGUMENT',
    },
    {
      parts: [good, { location: join(directory, 'new'), create: true, format: 'qed' }],
      code: 'INVALID_ARGUMENT',
    },
    {
      parts: [{ location: join(directory, 'new'), format: 'qed', create: true }],
      code: 'INVALID_ARGUMENT',
    },
  ];
  for (const { parts, code } of cases) {
    for (const writable of [undefined, true]) {
      const error = await failure(() => lamella.compose(parts, { writable }));
      t.equal(error.code, code, error.message);
      t.same(openFilesIn(directory), [], 'closed');
    }
  }
  t.same(photograph(directory), before, 'nothing written, nothing left behind');
  t.notOk(existsSync(join(directory, 'new')));
});

t.test('a top that was made goes again when the chain cannot be put together', async (t) => {
  const directory = sandbox(t);
  place(directory, 'base.raw');
  const before = photograph(directory);
  const error = await failure(() =>
    lamella.compose([
      { location: join(directory, 'top.qed'), format: 'qed', create: true },
      { location: join(directory, 'base.raw'), format: 'raw' },
      { location: join(directory, 'base.raw'), format: 'raw' },
    ]),
  );
  t.equal(error.code, 'CHAIN_LOOP');
  t.same(photograph(directory), before, 'no new file');
});

t.test('a composed top can be opened again for writing', async (t) => {
  const directory = sandbox(t);
  place(directory, 'base.raw');
  const parts = [
    { location: join(directory, 'top.qcow2') },
    { location: join(directory, 'base.raw'), format: 'raw' },
  ];
  await lamella.create(join(directory, 'top.qcow2'), { format: 'qcow2', size: 48 * KIB });
  {
    await using readOnly = await lamella.compose(parts);
    t.equal(readOnly.isWritable, false);
  }
  {
    await using disk = await lamella.compose(parts, { writable: true });
    await disk.write(new Uint8Array(10).fill(9), 48 * KIB - 10);
  }
  t.ok(Buffer.from(golden('base.raw')).equals(readFileSync(join(directory, 'base.raw'))));
  await using again = await lamella.compose(parts);
  const bytes = await readAll(again);
  t.same([bytes[0], bytes.at(-11), bytes.at(-10)], [0x71, 0x71, 9]);
});
