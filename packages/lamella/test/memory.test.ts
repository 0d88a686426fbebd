import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainNode } from '@lamella/test-support';
import t from 'tap';
import { be32, be64, type Edit, edited, le32, le64, QCOW2, QED } from './support/edits.js';
import { golden } from './support/golden.js';
import { sandbox } from './support/sandbox.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
const LIMIT = 100 * MIB;
const CHILD = fileURLToPath(new URL('./support/memory-child.js', import.meta.url));

interface Hostile {
  readonly name: string;
  readonly image: Uint8Array;
  /** Length of the file; what the image does not fill is a hole. */
  readonly size?: number;
  /** Further content, beyond the image. */
  readonly more?: readonly Edit[];
  /** Only for writing by default, which reads all that reading does and more. */
  readonly modes?: readonly ('ro' | 'rw')[];
}

interface Answer {
  readonly outcome: string;
  readonly peak: number;
}

function measure(path: string, mode: 'ro' | 'rw'): Answer {
  const output = execFileSync(
    // Small enough that leaning on the garbage collector does not count as memory.
    ...plainNode('--max-old-space-size=64', '--max-semi-space-size=2', CHILD, path, mode),
    { encoding: 'utf8', timeout: 120_000 },
  );
  const answer: unknown = JSON.parse(output);
  if (
    typeof answer === 'object' &&
    answer !== null &&
    'outcome' in answer &&
    typeof answer.outcome === 'string' &&
    'peak' in answer &&
    typeof answer.peak === 'number'
  ) {
    return { outcome: answer.outcome, peak: answer.peak };
  }
  throw new Error(`the child said ${output}`);
}

function write(path: string, { image, size, more = [] }: Hostile): void {
  const fd = openSync(path, 'w');
  try {
    writeSync(fd, image);
    ftruncateSync(fd, Math.max(size ?? 0, image.length));
    for (const { at, bytes } of more) {
      writeSync(fd, bytes, 0, bytes.length, at);
    }
  } finally {
    closeSync(fd);
  }
}

const v3 = golden('v3.qcow2');
const plain = golden('plain.qed');

function qcow2(name: string, edits: readonly Edit[], rest: Omit<Hostile, 'name' | 'image'> = {}) {
  return { name: `qcow2: ${name}`, image: edited(v3, ...edits), ...rest };
}

/** A QED header alone, with the geometry given. */
function qed(
  name: string,
  clusterSize: number,
  tableSize: number,
  rest: { readonly edits?: readonly Edit[] } & Omit<Hostile, 'name' | 'image'>,
): Hostile {
  const { edits = [], ...file } = rest;
  const image = edited(
    plain.slice(0, 64),
    le32(QED.clusterSize, clusterSize),
    le32(QED.tableSize, tableSize),
    le64(QED.l1Offset, BigInt(clusterSize)),
    ...edits,
  );
  return { name: `QED: ${name}`, image, ...file };
}

const L1 = 64 * 1024;
const bigL1 = [be64(QCOW2.l1Offset, BigInt(L1)), be32(QCOW2.l1Size, 4_194_304)];
const bigRefcounts = [
  be64(QCOW2.refcountTableOffset, BigInt(64 * MIB)),
  be32(QCOW2.refcountTableClusters, (8 * MIB) / 512),
];

/** Table entries that each point somewhere else, far apart. */
function scattered(count: number, first: number, step: number): Uint8Array {
  const bytes = new Uint8Array(count * 8);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i += 1) {
    view.setBigUint64(i * 8, BigInt(first + i * step), true);
  }
  return bytes;
}

const hostile: readonly Hostile[] = [
  qcow2('2^32-1 L1 entries', [be32(QCOW2.l1Size, 0xffff_ffff)], { size: 40 * GIB }),
  qcow2('the largest L1 table, empty', bigL1, { size: GIB }),
  qcow2('the largest L1 table, every entry invalid', bigL1, {
    size: GIB,
    more: [{ at: L1, bytes: new Uint8Array(32 * MIB).fill(0xff) }],
    modes: ['ro', 'rw'],
  }),
  qcow2('refcount table of 2^32-1 clusters', [be32(QCOW2.refcountTableClusters, 0xffff_ffff)], {
    size: 3 * TIB,
  }),
  qcow2('the largest L1 and refcount tables', [...bigL1, ...bigRefcounts], { size: GIB }),
  qcow2('the largest refcount table, every entry invalid', bigRefcounts, {
    size: GIB,
    more: [{ at: 64 * MIB, bytes: new Uint8Array(8 * MIB).fill(0xff) }],
  }),
  qcow2(
    'snapshots without end',
    [be32(QCOW2.snapshotCount, 65_536), be64(QCOW2.snapshotsOffset, 8192n)],
    { size: GIB, more: [{ at: 8192, bytes: new Uint8Array(4 * MIB).fill(0xff) }] },
  ),
  qcow2('2^32-1 snapshots', [be32(QCOW2.snapshotCount, 0xffff_ffff)], { size: GIB }),
  qcow2(
    'clusters of 2 MiB, first one full of extensions',
    [
      be32(QCOW2.clusterBits, 21),
      be32(QCOW2.l1Size, 1),
      be64(QCOW2.l1Offset, BigInt(2 * MIB)),
      be64(QCOW2.refcountTableOffset, BigInt(4 * MIB)),
    ],
    {
      size: 64 * MIB,
      // Empty extensions of different types, as many as fit.
      more: [{ at: 112, bytes: extensions(2 * MIB - 128) }],
    },
  ),
  qed('tables of 1 GiB, the largest disk', 64 * MIB, 16, {
    edits: [le64(QED.imageSize, 2n ** 53n - 512n)],
    size: 8 * GIB,
  }),
  qed('the same, not closed cleanly', 64 * MIB, 16, {
    edits: [le64(QED.imageSize, 2n ** 53n - 512n), le64(QED.features, 2n)],
    size: 8 * GIB,
  }),
  qed('header of 2^32-1 clusters', 4096, 1, {
    edits: [le32(QED.headerSize, 0xffff_ffff)],
    size: 8 * TIB,
  }),
  qed('not closed cleanly, clusters scattered over 15 TiB', 4096, 16, {
    edits: [le64(QED.imageSize, BigInt(GIB)), le64(QED.features, 2n)],
    size: 15 * TIB,
    more: [le64(4096, BigInt(MIB)), { at: MIB, bytes: scattered(8192, 2 * MIB, 4096 * 8192 * 55) }],
  }),
  qed('not closed cleanly, every second cluster leaked', 4096, 16, {
    edits: [le64(QED.imageSize, BigInt(GIB)), le64(QED.features, 2n)],
    size: 4 * GIB,
    more: [
      {
        at: 4096,
        bytes: scattered(8192, MIB, 2 * 65_536),
      },
    ],
  }),
];

function extensions(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 8 <= length; at += 8) {
    view.setUint32(at, 0x1000_0000 + at);
  }
  return bytes;
}

t.test('a hostile header takes less than 100 MB', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'image');
  const baseline = new Map<string, number>();
  for (const format of ['qcow2', 'QED']) {
    write(path, { name: '', image: format === 'qcow2' ? v3 : plain });
    const { outcome, peak } = measure(path, 'rw');
    t.equal(outcome, 'ok', `a harmless ${format} image`);
    baseline.set(format, peak);
  }
  for (const image of hostile) {
    write(path, image);
    const base = baseline.get(image.name.split(':')[0] ?? '') ?? 0;
    for (const mode of image.modes ?? (['rw'] as const)) {
      try {
        const { outcome, peak } = measure(path, mode);
        const growth = Math.round((peak - base) / MIB);
        t.ok(peak - base < LIMIT, `${image.name}, ${mode}: ${outcome}, ${growth} MiB more`);
      } catch (error) {
        t.fail(
          `${image.name}, ${mode}: ${error instanceof Error ? error.message.slice(0, 300) : error}`,
        );
      }
    }
  }
});
