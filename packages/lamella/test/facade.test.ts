import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DiskExtent, Lamella } from 'lamella';
import t from 'tap';
import { diskSum, golden, goldenSum, place, readAll } from './support/golden.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';

const KIB = 1024;
const lamella = new Lamella();

async function collect(extents: AsyncIterable<DiskExtent>): Promise<DiskExtent[]> {
  const list: DiskExtent[] = [];
  for await (const extent of extents) {
    list.push(extent);
  }
  return list;
}

for (const name of [
  'v2.qcow2',
  'v3.qcow2',
  'extended.qcow2',
  'compressed.qcow2',
  'snapshot.qcow2',
  'plain.qed',
]) {
  t.test(`${name} reads as QEMU reads it, found by content`, async (t) => {
    const directory = sandbox(t);
    const path = place(directory, name);
    const before = photograph(directory);
    await using disk = await lamella.open(path);
    t.equal(disk.format, name.endsWith('.qed') ? 'qed' : 'qcow2');
    t.equal(disk.isWritable, false);
    t.equal(await diskSum(disk), goldenSum(name));
    const extents = await collect(disk.extents());
    let position = 0;
    for (const { offset, length } of extents) {
      t.equal(offset, position, 'no gap, no overlap');
      t.ok(length > 0);
      position += length;
    }
    t.equal(position, disk.size);
    await disk.close();
    t.same(photograph(directory), before, 'reading writes nothing');
  });
}

t.test('a chain of three formats opens by its top', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
  const disk = await lamella.open(path);
  t.same(
    disk.layers.map(({ format, location, size, writable, references }) => ({
      format,
      location,
      size,
      writable,
      backing: references.backing?.location,
    })),
    [
      { format: 'qed', location: path, size: 80 * KIB, writable: false, backing: 'middle.qcow2' },
      {
        format: 'qcow2',
        location: join(directory, 'middle.qcow2'),
        size: 64 * KIB,
        writable: false,
        backing: 'base.raw',
      },
      {
        format: 'raw',
        location: join(directory, 'base.raw'),
        size: 48 * KIB,
        writable: false,
        backing: undefined,
      },
    ],
  );
  t.equal(disk.size, 80 * KIB);
  t.equal(disk.missingBacking, undefined);
  t.equal(await diskSum(disk), goldenSum('top.qed'));
  t.equal(openFilesIn(directory).length, 3);
  await disk.close();
  await disk.close();
  t.same(openFilesIn(directory), [], 'close closes every layer');
  t.equal((await failure(() => disk.read(new Uint8Array(1), 0))).code, 'CLOSED');
});

t.test('extents tell which layer answers', async (t) => {
  const directory = sandbox(t);
  await using disk = await lamella.open(place(directory, 'top.qed', 'middle.qcow2', 'base.raw'));
  const extents = await collect(disk.extents());
  const at = (offset: number) =>
    extents.find((extent) => extent.offset <= offset && offset < extent.offset + extent.length);
  // By golden/make.sh: who holds the first byte of each of these ranges.
  t.match(at(0), { kind: 'data', layer: 2 }, 'base');
  t.match(at(4 * KIB), { kind: 'data', layer: 0 }, 'top: the whole cluster of a small write');
  t.match(at(12 * KIB), { kind: 'zero', layer: 1 }, 'middle hides the base');
  t.match(at(57_344), { kind: 'data', layer: 1 }, 'middle, past the end of the base');
  t.match(at(50 * KIB), { kind: 'zero', layer: undefined }, 'past the base, in nobody');
  t.match(at(70 * KIB), { kind: 'zero', layer: undefined }, 'past the middle, in nobody');
  t.match(at(73_728), { kind: 'data', layer: 0 }, 'top');

  const part = await collect(disk.extents({ offset: 12 * KIB + 100, length: 50 }));
  t.same(
    part.map(({ offset, length, kind, layer }) => ({ offset, length, kind, layer })),
    [{ offset: 12 * KIB + 100, length: 50, kind: 'zero', layer: 1 }],
  );
  const controller = new AbortController();
  controller.abort();
  t.equal(
    (await failure(() => collect(disk.extents({ signal: controller.signal })))).code,
    'ABORTED',
  );
});

t.test('await using closes, also when the block throws', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'plain.qed');
  await t.rejects(
    (async () => {
      await using disk = await lamella.open(path);
      t.equal(openFilesIn(directory).length, 1);
      throw new Error(`left ${disk.format}`);
    })(),
    { message: 'left qed' },
  );
  t.same(openFilesIn(directory), []);
});

t.test(
  'what is written through the top comes back, and layers below stay as they are',
  async (t) => {
    const directory = sandbox(t);
    const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
    const expected = await lamella.open(path).then(async (disk) => {
      const bytes = await readAll(disk);
      await disk.close();
      return bytes;
    });
    {
      await using disk = await lamella.open(path, { writable: true });
      t.same(
        disk.layers.map(({ writable }) => writable),
        [true, false, false],
      );
      await disk.write(new Uint8Array(5000).fill(0xa1), 2000);
      await disk.writeZeroes(20_000, 9000);
      await disk.flush();
    }
    expected.fill(0xa1, 2000, 7000);
    expected.fill(0, 20_000, 29_000);
    await using again = await lamella.open(path);
    t.ok(Buffer.from(expected).equals(await readAll(again)));
    t.ok(
      golden('middle.qcow2').every(
        (byte, i) => byte === readFileSync(join(directory, 'middle.qcow2'))[i],
      ),
    );
    t.ok(Buffer.from(golden('base.raw')).equals(readFileSync(join(directory, 'base.raw'))));
  },
);

t.test('a read-only disk refuses writes and says how to open it', async (t) => {
  const directory = sandbox(t);
  await using disk = await lamella.open(place(directory, 'plain.qed'));
  const error = await failure(() => disk.write(new Uint8Array(10), 0));
  t.equal(error.code, 'READ_ONLY');
  t.match(error.hint, /writable: true/);
  t.equal((await failure(() => disk.resize(4096))).code, 'READ_ONLY');
});

t.test('overlay', async (t) => {
  t.test('takes writes in memory and leaves the disk below open and untouched', async (t) => {
    const directory = sandbox(t);
    const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
    await using below = await lamella.open(path);
    const before = photograph(directory);
    const expected = await readAll(below);
    for (const format of ['qcow2', 'qed']) {
      const overlay = await lamella.overlay(below, { format });
      t.equal(overlay.size, below.size);
      t.equal(overlay.isWritable, true);
      t.equal(overlay.layers.length, 4);
      t.ok(Buffer.from(expected).equals(await readAll(overlay)), 'shows what is below');
      const changed = Uint8Array.from(expected).fill(0xb2, 7000, 12_345);
      await overlay.write(new Uint8Array(5345).fill(0xb2), 7000);
      await overlay.flush();
      t.ok(Buffer.from(changed).equals(await readAll(overlay)), 'shows what was written');
      await overlay.close();
      t.equal((await failure(() => overlay.read(new Uint8Array(1), 0))).code, 'CLOSED');
      t.ok(Buffer.from(expected).equals(await readAll(below)), 'the disk below is still open');
    }
    t.same(photograph(directory), before);
  });

  t.test('another size: larger reads zeroes past the end, smaller cuts', async (t) => {
    const directory = sandbox(t);
    await using below = await lamella.open(place(directory, 'base.raw'));
    await using larger = await lamella.overlay(below, { size: 64 * KIB });
    const bytes = await readAll(larger);
    t.equal(bytes.length, 64 * KIB);
    t.ok(bytes.subarray(0, 48 * KIB).every((byte) => byte === 0x71));
    t.ok(bytes.subarray(48 * KIB).every((byte) => byte === 0));
    await using smaller = await lamella.overlay(below, { size: 8 * KIB });
    t.ok((await readAll(smaller)).every((byte) => byte === 0x71));
  });

  t.test('maxBytes: NO_SPACE, and what was written before stays', async (t) => {
    const directory = sandbox(t);
    const path = join(directory, 'big.raw');
    writeFileSync(path, new Uint8Array(8 * 1024 * KIB).fill(7));
    await using below = await lamella.open(path, { format: 'raw' });
    await using overlay = await lamella.overlay(below, { maxBytes: 2 * 1024 * KIB });
    await overlay.write(new Uint8Array(64 * KIB).fill(8), 0);
    await overlay.flush();
    const error = await failure(() =>
      overlay.write(new Uint8Array(4 * 1024 * KIB).fill(9), 65_536),
    );
    t.equal(error.code, 'NO_SPACE');
    t.match(error.hint, /maxBytes/);
    const first = new Uint8Array(64 * KIB);
    await overlay.read(first, 0);
    t.ok(first.every((byte) => byte === 8));
  });

  t.test('an overlay on an overlay', async (t) => {
    const directory = sandbox(t);
    await using below = await lamella.open(place(directory, 'plain.qed'));
    await using first = await lamella.overlay(below);
    await first.write(new Uint8Array(100).fill(1), 0);
    await using second = await lamella.overlay(first, { format: 'qed' });
    await second.write(new Uint8Array(100).fill(2), 50);
    const bytes = new Uint8Array(151);
    await second.read(bytes, 0);
    t.same(
      [bytes[0], bytes[49], bytes[50], bytes[149], bytes[150]],
      [1, 1, 2, 2, 0x61],
      'each layer answers for its own',
    );
    await first.read(bytes, 0);
    t.equal(bytes[60], 1, 'the lower overlay does not see the upper one');
  });
});
