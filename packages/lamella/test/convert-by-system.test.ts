import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { NATIVE_CALLS, type NativeCalls, nativeCalls } from '@lamella/platform-node';
import { paths } from '@lamella/test-support';
import fc from 'fast-check';
import { Lamella } from 'lamella';
import t from 'tap';
import { contentOf, MIB, QCOW2_EXTENDED, QCOW2_V2, QED } from './support/chains.js';
import { pattern } from './support/files.js';

const at = paths(t);
const CLUSTER = 65536;
const SIZE = 6 * MIB + 1536;

/** A Lamella with these system calls only. */
function withCalls(calls: NativeCalls): Lamella {
  const own = new Lamella();
  own.container.register(NATIVE_CALLS, { useValue: calls });
  return own;
}

let copied = 0;
const { copyFileRange } = nativeCalls();
// Whatever the file system is here.
const sharing = { ...nativeCalls(), sharesBlocks: () => true };
const lamella = withCalls({
  ...sharing,
  ...(copyFileRange && {
    copyFileRange: async (...args) => {
      const count = await copyFileRange(...args);
      copied += Math.max(0, count);
      return count;
    },
  }),
});
const { copyFileRange: _, ...withoutCopying } = nativeCalls();
const ordinary = withCalls(withoutCopying);
const skip =
  copyFileRange === undefined ? { skip: 'the system copies nothing between files here' } : {};

const SOURCES = [
  { format: 'raw', options: {} },
  { format: 'qcow2', options: {} },
  { format: 'qcow2', options: { data_file: 'source.data' } },
  { format: 'qed', options: QED.options },
];
const TARGETS = [
  { format: 'qcow2', options: {} },
  { format: 'qcow2', options: { data_file: 'target.data' } },
  QCOW2_V2,
  QCOW2_EXTENDED,
  { format: 'qed', options: { cluster_size: CLUSTER } },
];

t.test('what the system copies is what reading and writing copies', skip, async (t) => {
  const pieces = fc.array(
    fc.record({
      // Beginnings of clusters that are zeroes, single bytes in them, and ends of the disk.
      cluster: fc.nat(Math.floor(SIZE / CLUSTER)),
      skip: fc.constantFrom(0, 0, 511, 4096, 8192, CLUSTER - 1),
      length: fc.constantFrom(1, 512, 4096, CLUSTER, 5 * CLUSTER, MIB),
      zero: fc.boolean(),
    }),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...SOURCES),
      fc.constantFrom(...TARGETS),
      fc.constantFrom(undefined, 4096, 2 * CLUSTER),
      fc.boolean(),
      pieces,
      async (source, target, sparse, offload, writes) => {
        await lamella.create(at('source'), { ...source, size: SIZE, overwrite: true });
        const disk = await lamella.open(at('source'), { format: source.format, writable: true });
        for (const [index, { cluster, skip, length, zero }] of writes.entries()) {
          const offset = Math.min(cluster * CLUSTER + skip, SIZE - 1);
          const part = Math.min(length, SIZE - offset);
          await disk.write(zero ? new Uint8Array(part) : pattern(index, part), offset);
        }
        await disk.close();
        const options = {
          ...target,
          sourceFormat: source.format,
          sparse,
          offload,
          overwrite: true,
        };
        const clusters: number[] = [];
        for (const [who, name] of [
          [lamella, 'by-system'],
          [ordinary, 'ordinary'],
        ] as const) {
          await who.convert(at('source'), at(name), options);
          const expected = await contentOf(lamella, at('source'), source.format);
          const shown = (await contentOf(lamella, at(name), target.format)).subarray(0, SIZE);
          assert.equal(Buffer.compare(shown, expected), 0, `${name}: another content`);
          // The last cluster of a file may be shorter where its rest was never written.
          clusters.push(Math.ceil(statSync(at(name)).size / CLUSTER));
        }
        // Longer runs are looked for chunk by chunk, and chunks are of different sizes.
        if (!offload && sparse !== 2 * CLUSTER) {
          assert.equal(clusters[0], clusters[1], 'clusters of the images');
        }
      },
    ),
    { numRuns: 60, verbose: 1 },
  );
  t.ok(copied > 10 * MIB, 'the system copied most of it');
});

t.test('a file between which and the target nothing is copied is read', skip, async (t) => {
  let asked = 0;
  const refusing = withCalls({
    ...sharing,
    copyFileRange: async () => {
      asked += 1;
      return -18;
    },
  });
  await lamella.create(at('far.raw'), { format: 'raw', size: 64 * MIB, overwrite: true });
  const disk = await lamella.open(at('far.raw'), { format: 'raw', writable: true });
  await disk.write(Buffer.alloc(64 * MIB, pattern(3, 4099)), 0);
  await disk.close();
  const one = { format: 'qcow2', overwrite: true, parallel: 1 };
  await refusing.convert(at('far.raw'), at('near.qcow2'), one);
  t.match(await lamella.compare(at('far.raw'), at('near.qcow2')), { difference: 'none' });
  t.ok(asked > 0 && asked < 5, 'and it is not asked for every chunk');
  const failing = withCalls({ ...sharing, copyFileRange: async () => -5 });
  await failing.convert(at('far.raw'), at('near.qcow2'), { format: 'qcow2', overwrite: true });
  t.match(await lamella.compare(at('far.raw'), at('near.qcow2')), { difference: 'none' });
  t.same(await lamella.check(at('near.qcow2')).then(({ leaks }) => leaks), 0);
});

t.test(
  'where files share no blocks, the system copies only what it is told to',
  skip,
  async (t) => {
    let asked = 0;
    const counting = withCalls({
      ...nativeCalls(),
      sharesBlocks: () => false,
      copyFileRange: async (...args) => {
        asked += 1;
        return (await copyFileRange?.(...args)) ?? 0;
      },
    });
    await lamella.create(at('apart.raw'), { format: 'raw', size: MIB, overwrite: true });
    const disk = await lamella.open(at('apart.raw'), { format: 'raw', writable: true });
    await disk.write(pattern(5, MIB), 0);
    await disk.close();
    const how = { format: 'qcow2', overwrite: true };
    await counting.convert(at('apart.raw'), at('apart.qcow2'), how);
    t.equal(asked, 0);
    t.match(await lamella.compare(at('apart.raw'), at('apart.qcow2')), { difference: 'none' });
    await counting.convert(at('apart.raw'), at('apart.qcow2'), { ...how, offload: true });
    t.ok(asked > 0);
    t.match(await lamella.compare(at('apart.raw'), at('apart.qcow2')), { difference: 'none' });
  },
);
