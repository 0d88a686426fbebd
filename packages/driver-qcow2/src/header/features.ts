/** A 64-bit feature bitmap as two unsigned 32-bit halves. */
export interface FeatureBits {
  readonly high: number;
  readonly low: number;
}

/** Bits of `incompatible_features` (header bytes 72-79). */
export const INCOMPATIBLE = {
  dirty: 0,
  corrupt: 1,
  externalDataFile: 2,
  compressionType: 3,
  extendedL2: 4,
} as const;

/** Bits of `compatible_features` (header bytes 80-87). */
export const COMPATIBLE = { lazyRefcounts: 0 } as const;

/** Bits of `autoclear_features` (header bytes 88-95). */
export const AUTOCLEAR = { bitmaps: 0, rawExternalData: 1 } as const;

/** No feature at all. */
export const NO_FEATURES: FeatureBits = Object.freeze({ high: 0, low: 0 });

/** Whether a bit (0..63) is set. */
export function hasFeature(bits: FeatureBits, bit: number): boolean {
  return ((bit < 32 ? bits.low >>> bit : bits.high >>> (bit - 32)) & 1) === 1;
}

/** The bitmap with one bit (0..63) set or cleared. */
export function withFeature(bits: FeatureBits, bit: number, set: boolean): FeatureBits {
  const mask = (1 << (bit & 31)) >>> 0;
  const change = (half: number) => (set ? half | mask : half & ~mask) >>> 0;
  return bit < 32
    ? { high: bits.high, low: change(bits.low) }
    : { high: change(bits.high), low: bits.low };
}

/** Numbers of all set bits, ascending. */
export function featureNumbers(bits: FeatureBits): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => hasFeature(bits, bit));
}

/** Bitmaps that a {@link FeatureName} can belong to, in the order of their type numbers. */
const FEATURE_KINDS = ['incompatible', 'compatible', 'autoclear'] as const;

/** One of the three feature bitmaps. */
export type FeatureKind = (typeof FEATURE_KINDS)[number];

/** An entry of the feature name table. */
export interface FeatureName {
  readonly kind: FeatureKind;
  /** Bit number, 0..63. */
  readonly bit: number;
  /** At most 46 bytes of UTF-8. */
  readonly name: string;
}

/** Bytes of one entry of the feature name table. */
const NAME_ENTRY = 48;

/** The features that this driver knows by name; written into every new version 3 image. */
export const KNOWN_FEATURES: readonly FeatureName[] = [
  { kind: 'incompatible', bit: INCOMPATIBLE.dirty, name: 'dirty bit' },
  { kind: 'incompatible', bit: INCOMPATIBLE.corrupt, name: 'corrupt bit' },
  { kind: 'incompatible', bit: INCOMPATIBLE.externalDataFile, name: 'external data file' },
  { kind: 'incompatible', bit: INCOMPATIBLE.compressionType, name: 'compression type' },
  { kind: 'incompatible', bit: INCOMPATIBLE.extendedL2, name: 'extended L2 entries' },
  { kind: 'compatible', bit: COMPATIBLE.lazyRefcounts, name: 'lazy refcounts' },
  { kind: 'autoclear', bit: AUTOCLEAR.bitmaps, name: 'bitmaps' },
  { kind: 'autoclear', bit: AUTOCLEAR.rawExternalData, name: 'raw external data' },
];

/** Reads the data of a feature name table extension; entries of unknown kinds are left out. */
export function parseFeatureNames(data: Uint8Array): FeatureName[] {
  const names: FeatureName[] = [];
  for (let at = 0; at + NAME_ENTRY <= data.length; at += NAME_ENTRY) {
    const kind = FEATURE_KINDS[data[at] ?? FEATURE_KINDS.length];
    const bit = data[at + 1] ?? 64;
    const text = data.subarray(at + 2, at + NAME_ENTRY);
    const end = text.indexOf(0);
    if (kind !== undefined && bit < 64) {
      names.push({
        kind,
        bit,
        name: new TextDecoder().decode(end < 0 ? text : text.subarray(0, end)),
      });
    }
  }
  return names;
}

/** The data of a feature name table extension (specification: "Feature name table"). */
export function serialiseFeatureNames(names: readonly FeatureName[]): Uint8Array {
  const data = new Uint8Array(names.length * NAME_ENTRY);
  for (const [index, { kind, bit, name }] of names.entries()) {
    const at = index * NAME_ENTRY;
    data[at] = FEATURE_KINDS.indexOf(kind);
    data[at + 1] = bit;
    data.set(new TextEncoder().encode(name).subarray(0, NAME_ENTRY - 2), at + 2);
  }
  return data;
}
