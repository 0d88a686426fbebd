import { readFile, writeFile } from 'node:fs/promises';
import { Lamella } from 'lamella';
import t from 'tap';
import { firstDifference, KIB, MIB } from './support/bytes.js';
import { mixedContent } from './support/mixed-content.js';
import {
  faults,
  needsQemu,
  type Options,
  qemuCheck,
  qemuCompare,
  qemuConvert,
} from './support/qemu.js';
import { Temp } from './support/temp.js';

const TYPES = ['zlib', 'zstd'] as const;
const CLUSTERS = [4 * KIB, 8 * KIB, 64 * KIB, 128 * KIB, 512 * KIB, 2 * MIB];

/** Options of images with compressed clusters: every size of cluster, and what changes entries or refcounts. */
const SPECS: readonly Options[] = [
  ...TYPES.flatMap((type) =>
    CLUSTERS.map((size) => ({ compression_type: type, cluster_size: size })),
  ),
  { compat: '0.10', cluster_size: 512 },
  { compat: '0.10' },
  ...TYPES.map((type) => ({ compression_type: type, extended_l2: true, cluster_size: 64 * KIB })),
  { refcount_bits: 1, cluster_size: 4 * KIB },
  { refcount_bits: 2, cluster_size: 64 * KIB },
  { refcount_bits: 64, cluster_size: 64 * KIB, compression_type: 'zstd' },
];

/** Enough clusters to go beyond one slice of a table with small ones, and a short one at the end. */
function contentFor(options: Options): Uint8Array {
  const unit = Number(options.cluster_size ?? 64 * KIB);
  return mixedContent(unit * (unit >= 512 * KIB ? 14 : 40) + 1536, unit);
}

function nameOf(options: Options): string {
  return Object.entries(options)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

t.test('what qemu-img compresses is read here', needsQemu, async (t) => {
  for (const options of SPECS) {
    const temp = new Temp(t);
    const content = contentFor(options);
    const [raw, image] = [temp.file('content.raw'), temp.file('image.qcow2')];
    await writeFile(raw, content);
    const list = Object.entries(options).map(
      ([name, value]) => `${name}=${value === true ? 'on' : value}`,
    );
    await qemuConvert(raw, 'raw', image, 'qcow2', '-c', '-o', list.join(','));
    await using disk = await new Lamella().open(image);
    const whole = new Uint8Array(disk.size);
    await disk.read(whole, 0);
    t.equal(firstDifference(whole, content), undefined, nameOf(options));
    const piece = new Uint8Array(3000);
    for (let at = 0; at + piece.length <= disk.size; at += 97_003) {
      await disk.read(piece, at);
      const difference = firstDifference(piece, content.subarray(at, at + piece.length));
      if (difference !== undefined) {
        t.fail(`${nameOf(options)} at ${at}: ${difference}`);
      }
    }
  }
});

t.test('what is compressed here passes qemu-img check and compare', needsQemu, async (t) => {
  for (const options of SPECS) {
    const temp = new Temp(t);
    const content = contentFor(options);
    const [raw, image] = [temp.file('content.raw'), temp.file('image.qcow2')];
    await writeFile(raw, content);
    const lamella = new Lamella();
    await lamella.create(image, { format: 'qcow2', size: content.length, options });
    {
      await using disk = await lamella.open(image, { writable: true });
      const step = 5 * Number(options.cluster_size ?? 64 * KIB);
      for (let at = 0; at < content.length; at += step) {
        await disk.writeCompressed(content.subarray(at, at + step), at);
      }
    }
    const report = await qemuCheck(image, 'qcow2');
    t.equal(faults(report), undefined, nameOf(options));
    t.equal(await qemuCompare(image, 'qcow2', raw, 'raw'), 'Images are identical.');
    if (options.refcount_bits !== 1) {
      // A refcount of one bit lets no two clusters share space.
      t.ok((await readFile(image)).length < content.length, 'it got smaller');
    }
  }
});

t.test('compressed here, over a backing file and written over by QEMU', needsQemu, async (t) => {
  const temp = new Temp(t);
  const [base, top] = [temp.file('base.raw'), temp.file('top.qcow2')];
  const content = mixedContent(2 * MIB, 64 * KIB);
  await writeFile(base, content);
  const lamella = new Lamella();
  await lamella.create(top, {
    format: 'qcow2',
    size: content.length,
    backing: { location: base, format: 'raw' },
  });
  {
    await using disk = await lamella.open(top, { writable: true });
    const bytes = new Uint8Array(192 * KIB).fill(7);
    await disk.writeCompressed(bytes, 64 * KIB);
    content.set(bytes, 64 * KIB);
    await disk.write(bytes.subarray(0, 1000).fill(9), 128 * KIB + 5);
    content.fill(9, 128 * KIB + 5, 128 * KIB + 1005);
  }
  t.equal(faults(await qemuCheck(top, 'qcow2')), undefined);
  await writeFile(temp.file('expected.raw'), content);
  const same = await qemuCompare(top, 'qcow2', temp.file('expected.raw'), 'raw');
  t.equal(same, 'Images are identical.');
});
