import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** An image with some of its fields overwritten. */
export interface Damage {
  readonly name: string;
  readonly of: string;
  /** Where, how many bytes, what: big-endian for qcow2, little-endian for QED. */
  readonly fields: (image: Tables) => readonly (readonly [number, 2 | 4 | 8, bigint])[];
}

const COPIED = 1n << 63n;
const HOST = 0x00ff_ffff_ffff_fe00n;
const FAR = 0x1000_0000n;

/** Where the first tables and entries of an image are. */
class Tables {
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, little: boolean) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = little;
  }

  at(offset: number): bigint {
    return this.#view.getBigUint64(offset, this.#little);
  }

  get l1(): number {
    return Number(this.at(40));
  }

  get l2(): number {
    return Number(this.at(this.l1) & HOST);
  }

  get entry(): bigint {
    return this.at(this.l2);
  }

  /** Where the refcount of a cluster is, in a qcow2 image with refcounts of 16 bits. */
  refcount(cluster: bigint | number): number {
    return Number(this.at(Number(this.at(48)))) + 2 * Number(cluster);
  }

  get cluster(): bigint {
    return (this.entry & HOST) >> 16n;
  }

  put(offset: number, size: 2 | 4 | 8, value: bigint): void {
    if (size === 8) {
      this.#view.setBigUint64(offset, value, this.#little);
    } else if (size === 4) {
      this.#view.setUint32(offset, Number(value), this.#little);
    } else {
      this.#view.setUint16(offset, Number(value), this.#little);
    }
  }
}

function header(
  of: string,
  prefix: string,
  fields: readonly (readonly [offset: number, size: 4 | 8, ...values: bigint[]])[],
): Damage[] {
  return fields.flatMap(([offset, size, ...values]) =>
    values.map((value, index) => ({
      name: `${prefix}${offset}x${index}.${of.split('.')[1]}`,
      of,
      fields: () => [[offset, size, value]],
    })),
  );
}

/** Headers that make no sense. */
export const HEADERS: readonly Damage[] = [
  ...header('plain.qcow2', 'h', [
    [4, 4, 0n, 4n],
    [20, 4, 8n, 22n],
    [32, 4, 3n, 99n],
    [36, 4, 0n, 0xffff_ffffn],
    [40, 8, 512n, 1n, 1n << 63n],
    [48, 8, 512n, 1n << 63n],
    [56, 4, 0n, 129n],
    [60, 4, 65537n],
    [72, 8, 2n, 4n, 8n, 32n, 1n << 62n],
    [88, 8, 2n],
    [96, 4, 7n, 99n],
    [100, 4, 0n, 72n, 65544n],
    [24, 8, 1n << 50n, 1n << 63n],
  ]),
  ...header('plain.qed', 'e', [
    [4, 4, 2048n, 5000n],
    [8, 4, 0n, 3n],
    [12, 4, 2n],
    [16, 8, 8n, 1n << 63n],
    [40, 8, 0n, 5n, 1n << 40n, 1n << 63n],
    [48, 8, 1n, 1n << 60n],
  ]),
];

/** Metadata that a check finds something wrong with. */
export const METADATA: readonly Damage[] = [
  { name: 'leak.qcow2', of: 'plain.qcow2', fields: ({ l2 }) => [[l2, 8, 0n]] },
  {
    name: 'unused.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[image.refcount(image.cluster), 2, 0n]],
  },
  {
    name: 'twice.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[image.refcount(image.cluster), 2, 2n]],
  },
  {
    name: 'unflagged.qcow2',
    of: 'plain.qcow2',
    fields: ({ l2, entry }) => [[l2, 8, entry & HOST]],
  },
  {
    name: 'shared.qcow2',
    of: 'plain.qcow2',
    fields: ({ l2, entry }) => [[l2 + 8, 8, entry]],
  },
  {
    name: 'unaligned.qcow2',
    of: 'plain.qcow2',
    fields: ({ l2, entry }) => [[l2, 8, entry + 512n]],
  },
  { name: 'far.qcow2', of: 'plain.qcow2', fields: ({ l2 }) => [[l2, 8, COPIED | FAR]] },
  {
    name: 'reserved.qcow2',
    of: 'plain.qcow2',
    fields: ({ l2, entry }) => [[l2, 8, entry | 2n]],
  },
  {
    name: 'l2unaligned.qcow2',
    of: 'plain.qcow2',
    fields: ({ l1, l2 }) => [[l1, 8, COPIED | BigInt(l2 + 512)]],
  },
  { name: 'l2far.qcow2', of: 'plain.qcow2', fields: ({ l1 }) => [[l1, 8, COPIED | FAR]] },
  {
    name: 'l2unflagged.qcow2',
    of: 'plain.qcow2',
    fields: ({ l1, l2 }) => [[l1, 8, BigInt(l2)]],
  },
  {
    name: 'l2reserved.qcow2',
    of: 'plain.qcow2',
    fields: ({ l1, l2 }) => [[l1, 8, COPIED | BigInt(l2) | 1n]],
  },
  {
    name: 'overlap.qcow2',
    of: 'plain.qcow2',
    fields: ({ l1, l2 }) => [[l2, 8, COPIED | BigInt(l1)]],
  },
  {
    name: 'blockfar.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[Number(image.at(48)), 8, FAR]],
  },
  {
    name: 'blockbeyond.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[Number(image.at(48)) + 8, 8, 0x7fff_ffff_ffff_0000n]],
  },
  {
    name: 'blockbits.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[Number(image.at(48)) + 8, 8, 1n]],
  },
  {
    name: 'blocktwice.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[Number(image.at(48)) + 8, 8, image.at(48)]],
  },
  {
    name: 'overflow.qcow2',
    of: 'narrow.qcow2',
    fields: ({ l2, entry }) => [[l2 + 8, 8, entry]],
  },
  {
    name: 'noblock.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [[Number(image.at(48)), 8, 0n]],
  },
  {
    name: 'several.qcow2',
    of: 'plain.qcow2',
    fields: (image) => [
      [image.l2, 8, 0n],
      [image.l2 + 8, 8, (image.entry & HOST) + 0x20000n],
      [image.refcount(8), 2, 0n],
      [image.refcount(7), 2, 5n],
    ],
  },
  {
    name: 'flagged.qcow2',
    of: 'packed.qcow2',
    fields: ({ l2, entry }) => [[l2, 8, entry | COPIED]],
  },
  {
    name: 'snapl1.qcow2',
    of: 'snap.qcow2',
    fields: (image) => [[Number(image.at(64)), 8, 513n]],
  },
  { name: 'snapcount.qcow2', of: 'snap.qcow2', fields: () => [[60, 4, 70_000n]] },
  { name: 'snapat.qcow2', of: 'snap.qcow2', fields: () => [[64, 8, 513n]] },
  { name: 'marked.qcow2', of: 'plain.qcow2', fields: () => [[72, 8, 2n]] },
  { name: 'shared.qed', of: 'plain.qed', fields: ({ l2, entry }) => [[l2 + 8, 8, entry]] },
  { name: 'far.qed', of: 'plain.qed', fields: ({ l2 }) => [[l2, 8, FAR]] },
  { name: 'l2far.qed', of: 'plain.qed', fields: ({ l1 }) => [[l1, 8, FAR]] },
  { name: 'leak.qed', of: 'plain.qed', fields: ({ l2 }) => [[l2, 8, 0n]] },
  { name: 'dirty.qed', of: 'plain.qed', fields: () => [[16, 8, 2n]] },
];

/** Makes damaged images in a directory that has the sound ones. */
export function makeDamaged(directory: string, damaged: readonly Damage[]): void {
  for (const { name, of, fields } of damaged) {
    const bytes = new Uint8Array(readFileSync(join(directory, of)));
    const image = new Tables(bytes, of.endsWith('.qed'));
    for (const [offset, size, value] of fields(image)) {
      image.put(offset, size, value);
    }
    writeFileSync(join(directory, name), bytes);
  }
}
