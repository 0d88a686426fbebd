import { LamellaError } from '@lamella/core';
import { hasFeature, INCOMPATIBLE } from '../header/features.js';
import { FIELD, type Header, MAX_L1_BYTES, MAX_REFCOUNT_TABLE_BYTES } from '../header/header.js';

/**
 * Refuses headers that a check can't start from: QEMU refuses the same. Tables may lie anywhere, over
 * other metadata or behind the end of the file; the check tells.
 *
 * @throws LamellaError `INVALID_HEADER`, `LIMIT_EXCEEDED`
 */
export function assertBearable(header: Header, location: string): void {
  const clusterSize = 2 ** header.clusterBits;
  const entrySize = hasFeature(header.incompatible, INCOMPATIBLE.extendedL2) ? 16 : 8;
  const needed = Math.ceil(header.size / (clusterSize * (clusterSize / entrySize)));
  const rules: readonly (readonly [
    boolean,
    'INVALID_HEADER' | 'LIMIT_EXCEEDED',
    number,
    string,
  ])[] = [
    [
      entrySize === 16 && header.clusterBits < 14,
      'INVALID_HEADER',
      FIELD.clusterBits,
      'extended L2 entries need clusters of at least 16384 bytes',
    ],
    [header.l1Size * 8 > MAX_L1_BYTES, 'LIMIT_EXCEEDED', FIELD.l1Size, 'the L1 table is too large'],
    [header.l1Size < needed, 'INVALID_HEADER', FIELD.l1Size, 'the L1 table is too small'],
    [
      header.l1Offset % clusterSize !== 0,
      'INVALID_HEADER',
      FIELD.l1Offset,
      'the L1 table is not aligned to clusters',
    ],
    [
      header.refcountTableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES,
      'LIMIT_EXCEEDED',
      FIELD.refcountTableClusters,
      'the refcount table is too large',
    ],
    [
      header.refcountTableOffset % clusterSize !== 0,
      'INVALID_HEADER',
      FIELD.refcountTableOffset,
      'the refcount table is not aligned to clusters',
    ],
  ];
  for (const [broken, code, offset, problem] of rules) {
    if (broken) {
      throw new LamellaError(code, problem, {
        location,
        offset,
        hint: 'A check cannot mend this field; restore the image from a backup.',
      });
    }
  }
}
