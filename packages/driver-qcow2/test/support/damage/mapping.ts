import type { Damage } from '../damage.js';
import { COMPRESSED, COPIED, type Editable } from '../editable.js';

function l1(change: (entry: bigint, image: Editable) => bigint, index = 0) {
  return (image: Editable) => {
    const at = image.l1 + index * 8;
    image.set64(at, change(image.u64(at), image));
  };
}

function l2(change: (entry: bigint, image: Editable) => bigint, index = 2, entrySize = 8) {
  return (image: Editable) => {
    const at = image.l2Entry(index, 0, entrySize);
    image.set64(at, change(image.u64(at), image));
  };
}

function bitmap(zeroes: number, allocated: number, index: number) {
  return (image: Editable) => {
    const at = image.l2Entry(index, 0, 16);
    image.set32(at + 8, zeroes);
    image.set32(at + 12, allocated);
  };
}

/** Damage of L1 and L2 tables. */
export const MAPPING_DAMAGE: readonly Damage[] = [
  { name: 'L1 entry unaligned', base: 'plain', apply: l1((entry) => entry + 0x200n) },
  { name: 'L1 entry past the end', base: 'plain', apply: l1(() => COPIED | 0x4000_0000n) },
  { name: 'L1 entry far past the end', base: 'plain', apply: l1(() => COPIED | (1n << 54n)) },
  {
    name: 'L1 entry right at the end',
    base: 'plain',
    apply: l1((_, image) => COPIED | BigInt(image.end)),
  },
  { name: 'L1 entry with low reserved bits', base: 'plain', apply: l1((entry) => entry | 5n) },
  {
    name: 'L1 entry with high reserved bits',
    base: 'plain',
    apply: l1((entry) => entry | (1n << 57n)),
  },
  { name: 'L1 entry zero', base: 'plain', apply: l1(() => 0n) },
  { name: 'L1 entry with COPIED only', base: 'plain', apply: l1(() => COPIED) },
  { name: 'L1 entry without COPIED', base: 'plain', apply: l1((entry) => entry & ~COPIED) },
  {
    name: 'two L1 entries to one L2 table',
    base: 'plain',
    apply: (image) => image.set64(image.l1 + 8, image.u64(image.l1)),
  },
  {
    name: 'L2 table is the header',
    base: 'plain',
    apply: l1((_, image) => COPIED | BigInt(image.clusterSize * 0 + 512)),
  },
  {
    name: 'L2 table is the L1 table',
    base: 'plain',
    apply: l1((_, image) => COPIED | BigInt(image.l1)),
  },
  {
    name: 'L2 table is the refcount block',
    base: 'plain',
    apply: l1((_, image) => COPIED | BigInt(image.block())),
  },
  {
    name: 'L2 table is the refcount table',
    base: 'plain',
    apply: l1((_, image) => COPIED | BigInt(image.refcountTable)),
  },
  {
    name: 'L2 table is a data cluster',
    base: 'plain',
    apply: l1((_, image) => COPIED | BigInt(image.host(2))),
  },
  {
    name: 'L2 table of garbage',
    base: 'plain',
    apply: (image) => void image.bytes.fill(0x5a, image.l2(), image.l2() + image.clusterSize),
  },
  {
    name: 'L2 table of ones',
    base: 'plain',
    apply: (image) => void image.bytes.fill(0xff, image.l2(), image.l2() + image.clusterSize),
  },
  { name: 'L2 entry unaligned', base: 'plain', apply: l2((entry) => entry + 0x400n) },
  {
    name: 'L2 entry of a zero cluster unaligned',
    base: 'plain',
    apply: l2((entry) => (entry + 0x400n) | 1n),
  },
  { name: 'L2 entry past the end', base: 'plain', apply: l2(() => COPIED | 0x4000_0000n) },
  { name: 'L2 entry far past the end', base: 'plain', apply: l2(() => COPIED | (1n << 55n)) },
  {
    name: 'L2 entry one cluster past the end',
    base: 'plain',
    apply: l2((_, image) => COPIED | BigInt(image.end)),
  },
  {
    name: 'L2 entry of a zero cluster past the end',
    base: 'plain',
    apply: l2(() => COPIED | 0x4000_0001n),
  },
  { name: 'L2 entry with low reserved bits', base: 'plain', apply: l2((entry) => entry | 0x1en) },
  {
    name: 'L2 entry with high reserved bits',
    base: 'plain',
    apply: l2((entry) => entry | (1n << 60n)),
  },
  {
    name: 'L2 entry of no cluster with reserved bits',
    base: 'plain',
    apply: l2(() => 0x100n, 100),
  },
  { name: 'L2 entry with COPIED only', base: 'plain', apply: l2(() => COPIED, 100) },
  { name: 'L2 entry without COPIED', base: 'plain', apply: l2((entry) => entry & ~COPIED) },
  { name: 'L2 entry zero: data leaked', base: 'plain', apply: l2(() => 0n) },
  {
    name: 'COPIED set at refcount 2',
    base: 'plain',
    apply: (image) => {
      image.refcount(image.host(2), 2);
    },
  },
  {
    name: 'two L2 entries to one cluster',
    base: 'plain',
    apply: l2((_, image) => image.u64(image.l2Entry(3))),
  },
  { name: 'data cluster is the header', base: 'plain', apply: l2(() => COPIED | 0x200n) },
  {
    name: 'data cluster is the L1 table',
    base: 'plain',
    apply: l2((_, image) => COPIED | BigInt(image.l1)),
  },
  {
    name: 'data cluster is its L2 table',
    base: 'plain',
    apply: l2((_, image) => COPIED | BigInt(image.l2())),
  },
  {
    name: 'data cluster is the refcount block',
    base: 'plain',
    apply: l2((_, image) => COPIED | BigInt(image.block())),
  },
  {
    name: 'data cluster is the refcount table',
    base: 'plain',
    apply: l2((_, image) => COPIED | BigInt(image.refcountTable)),
  },
  { name: 'zero flag on data', base: 'plain', apply: l2((entry) => entry | 1n) },
  { name: 'zero flag in version 2', base: 'v2', apply: l2((entry) => entry | 1n) },
  { name: 'zero cluster in version 2', base: 'v2', apply: l2(() => 1n, 100) },
  { name: 'fragmented: entries swapped', base: 'plain', apply: swap },
  {
    name: 'data made compressed',
    base: 'plain',
    apply: l2((entry) => (entry & ~COPIED) | COMPRESSED),
  },
  {
    name: 'compressed entry with COPIED',
    base: 'compressed',
    apply: l2((entry) => entry | COPIED, 1),
  },
  {
    name: 'compressed entry past the end',
    base: 'compressed',
    apply: l2(() => COMPRESSED | 0x4000_0000n, 1),
  },
  {
    name: 'compressed entry across the end',
    base: 'compressed',
    apply: l2((_, image) => COMPRESSED | (7n << 58n) | BigInt(image.end - 512), 1),
  },
  {
    name: 'compressed entry too long',
    base: 'compressed',
    apply: l2((entry) => entry | (7n << 58n), 1),
  },
  {
    name: 'compressed entry to the header',
    base: 'compressed',
    apply: l2(() => COMPRESSED | 100n, 1),
  },
  { name: 'compressed entry zero: data leaked', base: 'compressed', apply: l2(() => 0n, 1) },
  {
    name: 'compressed data of garbage',
    base: 'compressed',
    apply: (image) => {
      const at = Number(image.u64(image.l2Entry(0)) & 0x3_ffff_ffff_ffffn);
      image.bytes.fill(0xee, at, at + 100);
    },
  },
  { name: 'subcluster allocated and zero', base: 'extended', apply: bitmap(0xf, 0xff, 1) },
  { name: 'subclusters allocated without a cluster', base: 'extended', apply: bitmap(0, 0xff, 50) },
  { name: 'subclusters zero without a cluster', base: 'extended', apply: bitmap(0xff, 0, 50) },
  {
    name: 'subclusters illegal without a cluster',
    base: 'extended',
    apply: bitmap(0xff, 0xff, 50),
  },
  { name: 'cluster with no subcluster in use', base: 'extended', apply: bitmap(0, 0, 1) },
  {
    name: 'extended entry unaligned',
    base: 'extended',
    apply: l2((entry) => entry + 0x400n, 1, 16),
  },
  {
    name: 'extended entry unaligned without data',
    base: 'extended',
    apply: (image) => {
      l2((entry) => entry + 0x400n, 1, 16)(image);
      bitmap(0xff, 0, 1)(image);
    },
  },
  { name: 'extended entry with bit 0', base: 'extended', apply: l2((entry) => entry | 1n, 1, 16) },
  {
    name: 'compressed entry with a subcluster bitmap',
    base: 'extended',
    apply: l2((entry) => (entry & ~COPIED) | COMPRESSED, 1, 16),
  },
];

function swap(image: Editable): void {
  const [a, b] = [image.u64(image.l2Entry(2)), image.u64(image.l2Entry(7))];
  image.set64(image.l2Entry(2), b);
  image.set64(image.l2Entry(7), a);
}
