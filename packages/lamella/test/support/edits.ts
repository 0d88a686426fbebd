/** Byte positions of qcow2 header fields (specification, "Header"), restated so that the tests do not lean on the driver. */
export const QCOW2 = {
  version: 4,
  backingOffset: 8,
  backingLength: 16,
  clusterBits: 20,
  size: 24,
  cryptMethod: 32,
  l1Size: 36,
  l1Offset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshotCount: 60,
  snapshotsOffset: 64,
  incompatible: 72,
  autoclear: 88,
  refcountOrder: 96,
  headerLength: 100,
  compressionType: 104,
} as const;

/** Byte positions of QED header fields (specification, "Header"). */
export const QED = {
  clusterSize: 4,
  tableSize: 8,
  headerSize: 12,
  features: 16,
  autoclear: 32,
  l1Offset: 40,
  imageSize: 48,
  backingOffset: 56,
  backingLength: 60,
} as const;

/** A change of a few bytes. */
export interface Edit {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Big-endian 32 bits, as in qcow2. */
export function be32(at: number, value: number): Edit {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return { at, bytes };
}

/** Big-endian 64 bits, as in qcow2. */
export function be64(at: number, value: bigint): Edit {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return { at, bytes };
}

/** Little-endian 32 bits, as in QED. */
export function le32(at: number, value: number): Edit {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return { at, bytes };
}

/** Little-endian 64 bits, as in QED. */
export function le64(at: number, value: bigint): Edit {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return { at, bytes };
}

export function text(at: number, value: string): Edit {
  return { at, bytes: new TextEncoder().encode(value) };
}

/** A copy with changes, longer where they reach past the end. */
export function edited(image: Uint8Array, ...edits: readonly Edit[]): Uint8Array {
  const end = Math.max(image.length, ...edits.map(({ at, bytes }) => at + bytes.length));
  const copy = new Uint8Array(end);
  copy.set(image);
  for (const { at, bytes } of edits) {
    copy.set(bytes, at);
  }
  return copy;
}

export function readBe64(image: Uint8Array, at: number): number {
  return Number(new DataView(image.buffer, image.byteOffset).getBigUint64(at));
}

export function readLe64(image: Uint8Array, at: number): number {
  return Number(new DataView(image.buffer, image.byteOffset).getBigUint64(at, true));
}

/** Host offset in a qcow2 L1 or L2 entry, flags left out. */
export function qcow2Pointer(image: Uint8Array, at: number): number {
  const entry = new DataView(image.buffer, image.byteOffset).getBigUint64(at);
  return Number(entry & 0x00ff_ffff_ffff_fe00n);
}

/** A qcow2 image with a backing file's name behind the header, and its format in an extension. */
export function withBacking(image: Uint8Array, name: string | Uint8Array, format = ''): Uint8Array {
  const bytes = typeof name === 'string' ? new TextEncoder().encode(name) : name;
  const length = new DataView(image.buffer, image.byteOffset).getUint32(QCOW2.headerLength);
  const padded = Math.ceil(format.length / 8) * 8;
  const extensions =
    format === ''
      ? [be64(length, 0n)]
      : [
          be32(length, 0xe279_2aca),
          be32(length + 4, format.length),
          text(length + 8, format.padEnd(padded, '\0')),
          be64(length + 8 + padded, 0n),
        ];
  const nameOffset = length + (format === '' ? 8 : 16 + padded);
  return edited(
    image,
    ...extensions,
    be64(QCOW2.backingOffset, BigInt(nameOffset)),
    be32(QCOW2.backingLength, bytes.length),
    { at: nameOffset, bytes },
  );
}

/** A QED image with a backing file's name behind the header. */
export function qedWithBacking(
  image: Uint8Array,
  name: string | Uint8Array,
  raw = false,
): Uint8Array {
  const bytes = typeof name === 'string' ? new TextEncoder().encode(name) : name;
  return edited(
    image,
    le64(QED.features, raw ? 5n : 1n),
    le32(QED.backingOffset, 64),
    le32(QED.backingLength, bytes.length),
    { at: 64, bytes },
  );
}
