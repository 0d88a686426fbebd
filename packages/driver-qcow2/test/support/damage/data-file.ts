import type { Damage } from '../damage.js';
import { COMPRESSED, COPIED } from '../editable.js';

/** Where 16 KiB clusters have extended entries. */
const EXTENDED = 16;

/** Damage of images with an external data file: what is there has no refcounts. */
export const DATA_FILE_DAMAGE: readonly Damage[] = [
  { name: 'no damage, data file', base: 'dataFile', apply: () => {} },
  { name: 'no damage, data file and extended L2', base: 'extendedDataFile', apply: () => {} },
  { name: 'no damage, raw data file', base: 'rawDataFile', apply: () => {} },
  {
    name: 'COPIED flag missing',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), 3 * 4096),
  },
  {
    name: 'COPIED flag of the cluster at 0 missing',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(0), 0),
  },
  {
    name: 'another place of the data file',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), COPIED | 0x9000n),
  },
  {
    name: 'two clusters at one place',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), COPIED | 0x4000n),
  },
  {
    name: 'far behind the end of the data file',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), COPIED | 0x10_0000_0000n),
  },
  {
    name: 'unaligned in the data file',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), COPIED | 0x3200n),
  },
  {
    name: 'a compressed cluster',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), COMPRESSED | 0x3000n),
  },
  {
    name: 'reserved bits',
    base: 'dataFile',
    apply: (image) => image.set64(image.l2Entry(3), COPIED | 0x3006n),
  },
  {
    name: 'L2 table with refcount 0',
    base: 'dataFile',
    apply: (image) => image.refcount(image.l2(), 0),
  },
  {
    name: 'L2 table with refcount 2',
    base: 'dataFile',
    apply: (image) => image.refcount(image.l2(), 2),
  },
  {
    name: 'L2 table dropped',
    base: 'rawDataFile',
    apply: (image) => image.set64(image.l1, 0),
  },
  {
    name: 'subclusters both zero and allocated',
    base: 'extendedDataFile',
    apply: (image) => image.set64(image.l2Entry(1, 0, EXTENDED) + 8, 0x0000_0001_ffff_ffffn),
  },
  {
    name: 'the bit of the data file cleared, so that its clusters would be here',
    base: 'dataFile',
    apply: (image) => image.set64(72, 0),
  },
  {
    name: 'dirty bit set',
    base: 'dataFile',
    apply: (image) => image.set64(72, 5),
  },
];
