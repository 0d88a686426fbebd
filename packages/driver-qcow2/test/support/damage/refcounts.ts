import type { Damage } from '../damage.js';
import type { Editable } from '../editable.js';

function table(index: number, value: (image: Editable) => number | bigint) {
  return (image: Editable) => image.set64(image.refcountTable + index * 8, value(image));
}

/** Damage of refcounts, their blocks and their table. */
export const REFCOUNT_DAMAGE: readonly Damage[] = [
  {
    name: 'refcount 0 of data in use',
    base: 'plain',
    apply: (image) => image.refcount(image.host(3), 0),
  },
  {
    name: 'refcount 0 of an L2 table',
    base: 'plain',
    apply: (image) => image.refcount(image.l2(), 0),
  },
  { name: 'refcount 0 of the header', base: 'plain', apply: (image) => image.refcount(0, 0) },
  {
    name: 'refcount 0 of the L1 table',
    base: 'plain',
    apply: (image) => image.refcount(image.l1, 0),
  },
  {
    name: 'refcount 0 of the refcount table',
    base: 'plain',
    apply: (image) => image.refcount(image.refcountTable, 0),
  },
  {
    name: 'refcount 0 of the refcount block',
    base: 'plain',
    apply: (image) => image.refcount(image.block(), 0),
  },
  {
    name: 'refcount 2 of data in use once',
    base: 'plain',
    apply: (image) => image.refcount(image.host(3), 2),
  },
  {
    name: 'refcount 65535 of data in use once',
    base: 'plain',
    apply: (image) => image.refcount(image.host(3), 65535),
  },
  {
    name: 'refcount 2 of an L2 table',
    base: 'plain',
    apply: (image) => image.refcount(image.l2(), 2),
  },
  { name: 'refcount 3 of the header', base: 'plain', apply: (image) => image.refcount(0, 3) },
  {
    name: 'refcount 1 of unused space',
    base: 'plain',
    apply: (image) => {
      const end = image.end;
      image.resize(end + 2 * image.clusterSize);
      image.refcount(end, 1);
    },
  },
  {
    name: 'refcounts behind the end of the file',
    base: 'plain',
    apply: (image) => image.refcount(image.end + 40960, 1),
  },
  {
    name: 'refcount 1 of what a snapshot shares',
    base: 'snapshots',
    apply: (image) => image.refcount(image.host(10), 1),
  },
  {
    name: 'refcount 9 of what snapshots share',
    base: 'snapshots',
    apply: (image) => image.refcount(image.host(10), 9),
  },
  {
    name: 'all refcounts 0',
    base: 'plain',
    apply: (image) => void image.bytes.fill(0, image.block(), image.block() + image.clusterSize),
  },
  {
    name: 'all refcounts 1',
    base: 'plain',
    apply: (image) => {
      for (let at = 0; at < image.clusterSize; at += 2) {
        image.set16(image.block() + at, 1);
      }
    },
  },
  {
    name: 'refcount block of garbage',
    base: 'plain',
    apply: (image) => void image.bytes.fill(0x77, image.block(), image.block() + image.clusterSize),
  },
  { name: 'refcount table entry zero', base: 'plain', apply: table(0, () => 0) },
  {
    name: 'refcount table entry unaligned',
    base: 'plain',
    apply: table(0, (image) => image.block() + 512),
  },
  {
    name: 'refcount table entry with reserved bits',
    base: 'plain',
    apply: table(0, (image) => image.block() + 5),
  },
  { name: 'refcount table entry past the end', base: 'plain', apply: table(0, () => 0x100_0000) },
  {
    name: 'refcount table entry far past the end',
    base: 'plain',
    apply: table(0, () => 1n << 62n),
  },
  {
    name: 'refcount table entry beyond 2^63',
    base: 'many',
    apply: (image) => table(2, () => (1n << 63n) | BigInt(image.block(2)))(image),
  },
  {
    name: 'extra refcount table entry past the end',
    base: 'plain',
    apply: table(1, () => 0x100_0000),
  },
  {
    name: 'extra refcount table entry unaligned',
    base: 'plain',
    apply: table(3, (image) => image.block() + 512),
  },
  {
    name: 'extra refcount table entry with reserved bits',
    base: 'plain',
    apply: table(2, () => 7),
  },
  { name: 'refcount block shared', base: 'plain', apply: table(1, (image) => image.block()) },
  { name: 'refcount block is the header', base: 'plain', apply: table(1, () => 4096 * 0 + 512) },
  { name: 'refcount block is the L1 table', base: 'plain', apply: table(1, (image) => image.l1) },
  { name: 'refcount block is an L2 table', base: 'plain', apply: table(1, (image) => image.l2()) },
  { name: 'refcount block is data', base: 'plain', apply: table(1, (image) => image.host(2)) },
  {
    name: 'refcount block is the refcount table',
    base: 'plain',
    apply: table(0, (image) => image.refcountTable),
  },
  { name: 'second of many refcount blocks missing', base: 'many', apply: table(1, () => 0) },
  {
    name: 'two of many refcount blocks the same',
    base: 'many',
    apply: table(2, (image) => image.block(1)),
  },
  {
    name: 'two of many refcount blocks swapped',
    base: 'many',
    apply: (image) => {
      const [a, b] = [image.block(1), image.block(2)];
      image.set64(image.refcountTable + 8, b);
      image.set64(image.refcountTable + 16, a);
    },
  },
  {
    name: 'one of many refcount blocks zeroed',
    base: 'many',
    apply: (image) => void image.bytes.fill(0, image.block(3), image.block(3) + 512),
  },
  {
    name: '64-bit refcount beyond 2^53',
    base: 'many',
    apply: (image) => image.set64(image.block(0) + 8 * 20, 1n << 60n),
  },
  {
    name: 'refcount table of garbage',
    base: 'plain',
    apply: (image) =>
      void image.bytes.fill(0x33, image.refcountTable, image.refcountTable + image.clusterSize),
  },
  {
    name: '1-bit refcounts: a cluster in use twice',
    base: 'bits1',
    apply: (image) => image.set64(image.l2Entry(2), image.u64(image.l2Entry(3))),
  },
  {
    name: '1-bit refcounts: all free',
    base: 'bits1',
    apply: (image) => void image.bytes.fill(0, image.block(), image.block() + image.clusterSize),
  },
  {
    name: '8-bit refcount too high',
    base: 'bits8',
    apply: (image) => image.refcount(image.host(3), 255, 8),
  },
  {
    name: '8-bit refcounts: more references than they hold',
    base: 'bits8',
    apply: (image) => {
      const entry = image.u64(image.l2Entry(3));
      for (let index = 130; index < 512; index += 1) {
        image.set64(image.l2Entry(index), entry);
      }
    },
  },
];
