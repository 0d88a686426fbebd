import { alignDown, alignUp } from '../bytes/index.js';
import { Disk } from '../chain/index.js';
import type { ByteRange } from '../driver/index.js';
import { readsAsZeroes } from '../engine/index.js';

/** A run of the disk that several disks make up one behind the other. */
export interface Piece {
  /** `data` has to be read; `zero` is known to be zeroes. */
  readonly kind: 'data' | 'zero';
  /** First byte of the whole. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** What is read of one disk. */
interface Part {
  readonly disk: Disk;
  /** First byte. */
  readonly skip: number;
  /** Bytes. */
  readonly length: number;
}

/** Disks one behind the other, read as one. */
export class SourceDisks {
  readonly #parts: readonly Part[];
  /** Bytes of all that is read. */
  readonly size: number;

  /**
   * @param range - part of the disks, taken as one, to read; all by default
   */
  constructor(disks: readonly Disk[], range?: ByteRange) {
    const parts: Part[] = [];
    const { offset: from = 0, length = Number.POSITIVE_INFINITY } = range ?? {};
    let start = 0;
    for (const disk of disks) {
      const skip = Math.min(disk.size, Math.max(0, from - start));
      const end = Math.min(disk.size, from + length - start);
      if (end > skip) {
        parts.push({ disk, skip, length: end - skip });
      }
      start += disk.size;
    }
    this.#parts = parts;
    this.size = parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** Fills the buffer with the bytes from `offset` on. */
  async read(buffer: Uint8Array, offset: number): Promise<void> {
    let start = 0;
    for (const { disk, skip, length } of this.#parts) {
      const from = Math.max(offset, start);
      const to = Math.min(offset + buffer.length, start + length);
      if (from < to) {
        await disk.read(buffer.subarray(from - offset, to - offset), skip + from - start);
      }
      start += length;
    }
  }

  /**
   * What is where, in order. Data is widened to multiples of `unit`.
   *
   * @param topOnly - leave out what only backing images hold
   */
  async *pieces(unit: number, topOnly: boolean, signal?: AbortSignal): AsyncGenerator<Piece> {
    const zeroes: Piece[] = [];
    let data: { offset: number; end: number } | undefined;
    let done = 0;
    for await (const { kind, offset, length } of this.#extents(topOnly, signal)) {
      if (kind === 'zero') {
        const from = Math.max(offset, done);
        if (from < offset + length) {
          zeroes.push({ kind, offset: from, length: offset + length - from });
        }
        continue;
      }
      const start = Math.max(done, alignDown(offset, unit));
      const end = Math.min(this.size, alignUp(offset + length, unit));
      if (data !== undefined && start > data.end) {
        yield { kind: 'data', offset: data.offset, length: data.end - data.offset };
        data = undefined;
      }
      for (const zero of zeroes.splice(0)) {
        const stop = Math.min(start, zero.offset + zero.length);
        if (stop > zero.offset) {
          yield { ...zero, length: stop - zero.offset };
        }
      }
      data = { offset: data?.offset ?? start, end };
      done = end;
    }
    if (data !== undefined) {
      yield { kind: 'data', offset: data.offset, length: data.end - data.offset };
    }
    yield* zeroes;
  }

  /** Extents of all disks; what is to be left out does not appear. */
  async *#extents(topOnly: boolean, signal: AbortSignal | undefined): AsyncGenerator<Piece> {
    let start = 0;
    for (const { disk, skip, length } of this.#parts) {
      const view = topOnly ? topOf(disk) : disk;
      for await (const extent of view.extents({ offset: skip, length, signal })) {
        if (extent.kind !== 'missing' || !topOnly) {
          const offset = start + extent.offset - skip;
          yield { kind: readsAsZeroes(extent) ? 'zero' : 'data', offset, length: extent.length };
        }
      }
      start += length;
    }
  }
}

/** The top image alone: what it does not hold itself shows as missing. */
function topOf(disk: Disk): Disk {
  const [top, base] = disk.openLayers;
  if (top === undefined || base === undefined) {
    return disk;
  }
  return new Disk([top], [], {
    namedBy: top.storage.location,
    reference: base.storage.location,
  });
}
