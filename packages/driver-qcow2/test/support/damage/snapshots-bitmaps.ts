import type { Damage } from '../damage.js';
import type { Editable } from '../editable.js';

const BITMAPS = 0x2385_2875;

/** Offset of the bitmap directory. */
function directory(image: Editable): number {
  return Number(image.u64(image.extension(BITMAPS) + 16));
}

/** Damage of the snapshot table and of bitmaps. */
export const SNAPSHOT_AND_BITMAP_DAMAGE: readonly Damage[] = [
  { name: 'snapshot count too high', base: 'snapshots', apply: (image) => image.set32(60, 5) },
  { name: 'snapshot count too low', base: 'snapshots', apply: (image) => image.set32(60, 1) },
  { name: 'snapshot count zero', base: 'snapshots', apply: (image) => image.set32(60, 0) },
  {
    name: 'snapshot count absurd',
    base: 'snapshots',
    apply: (image) => image.set32(60, 0xffff_ffff),
  },
  {
    name: 'snapshot table unaligned',
    base: 'snapshots',
    apply: (image) => image.set64(64, image.snapshotTable + 8),
  },
  {
    name: 'snapshot table past the end',
    base: 'snapshots',
    apply: (image) => image.set64(64, 0x4000_0000),
  },
  {
    name: 'snapshot table is the L1 table',
    base: 'snapshots',
    apply: (image) => image.set64(64, image.l1),
  },
  {
    name: 'snapshot table torn: second entry zero',
    base: 'snapshots',
    apply: (image) =>
      void image.bytes.fill(0, image.snapshotTable + 72, image.snapshotTable + image.clusterSize),
  },
  {
    name: 'snapshot without extra data',
    base: 'snapshots',
    apply: (image) => {
      image.set32(image.snapshotTable + 36, 0);
    },
  },
  {
    name: 'snapshot with too much extra data',
    base: 'snapshots',
    apply: (image) => image.set32(image.snapshotTable + 36, 2000),
  },
  {
    name: 'snapshot with absurdly much extra data',
    base: 'snapshots',
    apply: (image) => image.set32(image.snapshotTable + 36, 0xffff_ff00),
  },
  {
    name: 'L1 table of a snapshot unaligned',
    base: 'snapshots',
    apply: (image) => image.set64(image.snapshotTable, Number(image.u64(image.snapshotTable)) + 8),
  },
  {
    name: 'L1 table of a snapshot past the end',
    base: 'snapshots',
    apply: (image) => image.set64(image.snapshotTable, 0x4000_0000),
  },
  {
    name: 'L1 table of a snapshot huge',
    base: 'snapshots',
    apply: (image) => image.set32(image.snapshotTable + 8, 0x7000_0000),
  },
  {
    name: 'L1 table of a snapshot is the active one',
    base: 'snapshots',
    apply: (image) => image.set64(image.snapshotTable, image.l1),
  },
  {
    name: 'L1 table of a snapshot zeroed',
    base: 'snapshots',
    apply: (image) => {
      const l1 = Number(image.u64(image.snapshotTable));
      image.bytes.fill(0, l1, l1 + image.clusterSize);
    },
  },
  {
    name: 'L1 entry of a snapshot past the end',
    base: 'snapshots',
    apply: (image) => image.set64(Number(image.u64(image.snapshotTable)), 0x4000_0000),
  },
  {
    name: 'L1 entry of a snapshot unaligned',
    base: 'snapshots',
    apply: (image) => {
      const l1 = Number(image.u64(image.snapshotTable));
      image.set64(l1, image.u64(l1) + 512n);
    },
  },
  {
    name: 'refcount 0 of the snapshot table',
    base: 'snapshots',
    apply: (image) => image.refcount(image.snapshotTable, 0),
  },
  { name: 'bitmaps not valid', base: 'bitmaps', apply: (image) => image.set64(88, 0) },
  {
    name: 'bitmap directory past the end',
    base: 'bitmaps',
    apply: (image) => image.set64(image.extension(BITMAPS) + 16, 0x4000_0000),
  },
  {
    name: 'bitmap directory unaligned',
    base: 'bitmaps',
    apply: (image) => image.set64(image.extension(BITMAPS) + 16, directory(image) + 8),
  },
  {
    name: 'bitmap directory too long',
    base: 'bitmaps',
    apply: (image) => image.set64(image.extension(BITMAPS) + 8, 1000),
  },
  {
    name: 'bitmap count too high',
    base: 'bitmaps',
    apply: (image) => image.set32(image.extension(BITMAPS), 9),
  },
  {
    name: 'bitmap directory zeroed',
    base: 'bitmaps',
    apply: (image) => void image.bytes.fill(0, directory(image), directory(image) + 64),
  },
  {
    name: 'bitmap granularity absurd',
    base: 'bitmaps',
    apply: (image) => image.set8(directory(image) + 17, 99),
  },
  {
    name: 'bitmap table unaligned',
    base: 'bitmaps',
    apply: (image) => image.set64(directory(image), Number(image.u64(directory(image))) + 8),
  },
  {
    name: 'bitmap table past the end',
    base: 'bitmaps',
    apply: (image) => image.set64(directory(image), 0x4000_0000),
  },
  {
    name: 'bitmap table of no entries',
    base: 'bitmaps',
    apply: (image) => image.set32(directory(image) + 8, 0),
  },
  {
    name: 'bitmap table entry past the end',
    base: 'bitmaps',
    apply: (image) => image.set64(Number(image.u64(directory(image))), 0x4000_0000),
  },
  {
    name: 'bitmap table entry unaligned',
    base: 'bitmaps',
    apply: (image) => image.set64(Number(image.u64(directory(image))), 0x1_0200),
  },
  {
    name: 'bitmap table entry with reserved bits',
    base: 'bitmaps',
    apply: (image) => image.set64(Number(image.u64(directory(image))), 1n << 60n),
  },
  {
    name: 'bitmap in use',
    base: 'bitmaps',
    apply: (image) => image.set32(directory(image) + 12, image.u32(directory(image) + 12) | 1),
  },
  {
    name: 'bitmap with unknown flags',
    base: 'bitmaps',
    apply: (image) => image.set32(directory(image) + 12, 0x100),
  },
  {
    name: 'refcount 0 of the bitmap directory',
    base: 'bitmaps',
    apply: (image) => image.refcount(directory(image), 0),
  },
];
