import type { DiskExtent } from 'lamella';

/** What a picture tells apart, in the order in which it is stacked and listed. */
export const KINDS = ['data', 'compressed', 'encrypted', 'zero', 'missing'] as const;

/** What a layer holds of a range; nothing at all is no kind. */
export type Kind = (typeof KINDS)[number];

/** What is said of each kind. */
export const KIND_TEXTS: Readonly<Record<Kind, string>> = {
  data: 'data',
  compressed: 'compressed data',
  encrypted: 'encrypted data',
  zero: 'zeroes, or a hole in the file',
  missing: 'unknown: the backing file is missing',
};

/** The kind of an extent; undefined where no layer holds anything. */
export function kindOf({ kind, hostOffset }: DiskExtent): Kind | undefined {
  switch (kind) {
    case 'data':
      // Ciphered bytes are nowhere as the guest reads them.
      return hostOffset === undefined ? 'encrypted' : 'data';
    case 'unallocated':
      return undefined;
    default:
      return kind;
  }
}
