import type { Damage } from '../damage.js';

/** Damage of header fields, and files that end early. */
export const HEADER_DAMAGE: readonly Damage[] = [
  { name: 'no damage at all', base: 'plain', apply: () => {} },
  { name: 'no damage, version 2', base: 'v2', apply: () => {} },
  { name: 'no damage, extended L2', base: 'extended', apply: () => {} },
  { name: 'no damage, compressed', base: 'compressed', apply: () => {} },
  { name: 'no damage, snapshots', base: 'snapshots', apply: () => {} },
  { name: 'no damage, bitmaps', base: 'bitmaps', apply: () => {} },
  { name: 'no damage, small clusters and wide refcounts', base: 'many', apply: () => {} },
  { name: 'no damage, 1-bit refcounts', base: 'bits1', apply: () => {} },
  { name: 'no damage, preallocated', base: 'preallocated', apply: () => {} },
  { name: 'dirty bit set, refcounts right', base: 'lazy', apply: (image) => image.set64(72, 1) },
  {
    name: 'dirty bit set, refcounts of new clusters never written',
    base: 'lazy',
    apply: (image) => {
      image.set64(72, 1);
      image.refcount(image.host(3), 0);
      image.refcount(image.host(4), 0);
    },
  },
  { name: 'corrupt bit set, nothing wrong', base: 'plain', apply: (image) => image.set64(72, 2) },
  {
    name: 'corrupt bit set, leak',
    base: 'plain',
    apply: (image) => {
      image.set64(72, 2);
      image.set64(image.l2Entry(2), 0);
    },
  },
  { name: 'unknown incompatible bit', base: 'plain', apply: (image) => image.set64(72, 0x100) },
  { name: 'unknown autoclear bit', base: 'plain', apply: (image) => image.set64(88, 0x100) },
  { name: 'magic wrong', base: 'plain', apply: (image) => image.set32(0, 0x12345678) },
  { name: 'version 7', base: 'plain', apply: (image) => image.set32(4, 7) },
  { name: 'cluster_bits 40', base: 'plain', apply: (image) => image.set32(20, 40) },
  { name: 'refcount_order 9', base: 'plain', apply: (image) => image.set32(96, 9) },
  { name: 'header_length 80', base: 'plain', apply: (image) => image.set32(100, 80) },
  { name: 'L1 size 0', base: 'plain', apply: (image) => image.set32(36, 0) },
  { name: 'L1 size absurd', base: 'plain', apply: (image) => image.set32(36, 0xffff_ffff) },
  { name: 'L1 larger than needed', base: 'plain', apply: (image) => image.set32(36, 40) },
  { name: 'L1 table unaligned', base: 'plain', apply: (image) => image.set64(40, image.l1 + 512) },
  { name: 'L1 table past the end', base: 'plain', apply: (image) => image.set64(40, 1 << 30) },
  { name: 'L1 table in the header', base: 'plain', apply: (image) => image.set64(40, 0) },
  {
    name: 'L1 table over the refcount table',
    base: 'plain',
    apply: (image) => image.set64(40, image.refcountTable),
  },
  {
    name: 'refcount table unaligned',
    base: 'plain',
    apply: (image) => image.set64(48, image.refcountTable + 8),
  },
  {
    name: 'refcount table past the end',
    base: 'plain',
    apply: (image) => image.set64(48, image.end + 0x10000),
  },
  {
    name: 'refcount table in the header',
    base: 'plain',
    apply: (image) => image.set64(48, 0),
    known: {
      all: 'QEMU lets the file grow by 4 GiB to reach a refcount block; we rebuild instead',
    },
  },
  { name: 'refcount table of no clusters', base: 'plain', apply: (image) => image.set32(56, 0) },
  { name: 'refcount table of 2 clusters', base: 'plain', apply: (image) => image.set32(56, 2) },
  { name: 'refcount table huge', base: 'plain', apply: (image) => image.set32(56, 0x10000000) },
  {
    name: 'disk larger than the L1 table',
    base: 'plain',
    apply: (image) => image.set64(24, 1 << 30),
  },
  {
    name: 'disk smaller than what is mapped',
    base: 'plain',
    apply: (image) => image.set64(24, 65536),
  },
  {
    name: 'truncated in the last data cluster',
    base: 'plain',
    apply: (image) => image.resize(image.bytes.length - 1000),
  },
  {
    name: 'truncated by a whole cluster',
    base: 'plain',
    apply: (image) => image.resize(image.end - image.clusterSize),
  },
  {
    name: 'truncated behind the first L2 table',
    base: 'plain',
    apply: (image) => image.resize(image.l2() + image.clusterSize),
  },
  {
    name: 'truncated in the L2 table',
    base: 'plain',
    apply: (image) => image.resize(image.l2() + 100),
  },
  {
    name: 'truncated behind the refcount table',
    base: 'plain',
    apply: (image) => image.resize(image.refcountTable + image.clusterSize),
  },
  { name: 'truncated in the header', base: 'plain', apply: (image) => image.resize(60) },
  {
    name: 'truncated in compressed data',
    base: 'compressed',
    apply: (image) => image.resize(image.end - 4096),
  },
  {
    name: 'garbage behind the end',
    base: 'plain',
    apply: (image) => {
      const end = image.end;
      image.resize(end + 3 * image.clusterSize + 5);
      image.bytes.fill(0xaa, end);
    },
  },
];
