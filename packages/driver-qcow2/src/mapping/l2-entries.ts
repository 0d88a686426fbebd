import type { CachedSlice } from '@lamella/core';
import { reservedCompressedBits } from '../compression/descriptor.js';
import { corrupt } from '../errors.js';
import type { Geometry } from '../geometry.js';
import { classify, KIND, type Kind } from './l2-entry.js';
import { ALL_SUBCLUSTERS, classifyExtended } from './subclusters.js';

/** Reads and writes entries of L2 slices, standard and extended ones alike. */
export class L2Entries {
  readonly #location: string;
  readonly #clusterSize: number;
  readonly #entrySize: number;
  readonly #extended: boolean;
  readonly #zeroFlag: boolean;
  readonly #external: boolean;
  readonly #compressedReserved: number;

  constructor(geometry: Geometry, location: string) {
    this.#location = location;
    this.#clusterSize = geometry.clusterSize;
    this.#entrySize = geometry.l2EntrySize;
    this.#extended = geometry.extended;
    this.#external = geometry.externalData;
    this.#compressedReserved = reservedCompressedBits(Math.log2(geometry.clusterSize));
    this.#zeroFlag = geometry.hasZeroFlag && !geometry.extended;
  }

  /** Upper half of an entry's descriptor. */
  high(slice: CachedSlice, index: number): number {
    return slice.view.getUint32(index * this.#entrySize);
  }

  /** Lower half of an entry's descriptor. */
  low(slice: CachedSlice, index: number): number {
    return slice.view.getUint32(index * this.#entrySize + 4);
  }

  /** Subclusters that read as zeroes; extended entries only. */
  zeroes(slice: CachedSlice, index: number): number {
    return slice.view.getUint32(index * this.#entrySize + 8);
  }

  /** Subclusters that are allocated; extended entries only. */
  allocated(slice: CachedSlice, index: number): number {
    return slice.view.getUint32(index * this.#entrySize + 12);
  }

  /** What an entry says; `invalid` is among the answers. */
  kind(slice: CachedSlice, index: number): Kind {
    const high = this.high(slice, index);
    const low = this.low(slice, index);
    if (this.#extended) {
      const zeroes = this.zeroes(slice, index);
      const allocated = this.allocated(slice, index);
      return classifyExtended(high, low, zeroes, allocated, this.#clusterSize, this.#external);
    }
    const kind = classify(high, low, this.#clusterSize, this.#zeroFlag, this.#external);
    return kind === KIND.compressed && (high & this.#compressedReserved) !== 0
      ? KIND.invalid
      : kind;
  }

  /** Replaces a descriptor. The subcluster bitmap of an extended entry stays. */
  set(slice: CachedSlice, index: number, high: number, low: number): void {
    slice.view.setUint32(index * this.#entrySize, high);
    slice.view.setUint32(index * this.#entrySize + 4, low);
  }

  /** Replaces a subcluster bitmap; extended entries only. */
  setBitmap(slice: CachedSlice, index: number, zeroes: number, allocated: number): void {
    slice.view.setUint32(index * this.#entrySize + 8, zeroes);
    slice.view.setUint32(index * this.#entrySize + 12, allocated);
  }

  /** Lets all subclusters of an extended entry read as zeroes. */
  setAllZeroes(slice: CachedSlice, index: number): void {
    this.setBitmap(slice, index, ALL_SUBCLUSTERS, 0);
  }

  /** The error for an entry that breaks the specification. */
  invalid(slice: CachedSlice, index: number): Error {
    return this.#error(slice, index, 'is invalid');
  }

  /** The error for an entry that points behind the end of the file. */
  outside(slice: CachedSlice, index: number): Error {
    return this.#error(slice, index, 'points behind the end of the file');
  }

  /** The error for an entry that does not point to where its cluster has to be in a data file. */
  misplaced(slice: CachedSlice, index: number): Error {
    return this.#error(slice, index, 'points to another place of the data file than its own');
  }

  #error(slice: CachedSlice, index: number, problem: string): Error {
    const at = index * this.#entrySize;
    const hex = [...slice.bytes.subarray(at, at + this.#entrySize)]
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('');
    return corrupt(this.#location, slice.offset + at, `L2 entry 0x${hex} ${problem}`);
  }
}
