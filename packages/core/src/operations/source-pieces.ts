import { alignDown, alignUp } from '../bytes/index.js';
import { Disk } from '../chain/index.js';
import type { ByteRange } from '../driver/index.js';
import { type Copied, NOTHING_COPIED, readsAsZeroes } from '../engine/index.js';

/** A run of the disk that several disks make up one behind the other. */
export interface Piece {
  /** `data` has to be read; `zero` is known to be zeroes. */
  readonly kind: 'data' | 'zero';
  /** First byte of the whole. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** Whether all of it is stored as the guest reads it, so that the system could copy it. */
  readonly plain: boolean;
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

  /** Bytes of the largest clusters that any of the images has: what is compressed is so by the cluster. */
  get largestCluster(): number {
    const layers = this.#parts.flatMap(({ disk }) => disk.openLayers);
    return Math.max(1, ...layers.map(({ image }) => image.clusterSize));
  }

  /** Whether the system can be expected to share blocks of one of the disks with another disk. */
  sharesBlocksWith(target: Disk): boolean {
    const into = target.openLayers[0]?.storage;
    return this.#parts.some(({ disk }) => {
      const from = disk.openLayers[0]?.storage;
      return from !== undefined && into?.sharesBlocksWith?.(from) === true;
    });
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

  /** Has the system copy a prefix of a range into a disk, as `Disk.copyFrom` does. */
  async copyInto(target: Disk, offset: number, length: number): Promise<Copied> {
    let start = 0;
    for (const part of this.#parts) {
      const inPart = offset - start;
      if (inPart >= 0 && inPart < part.length) {
        const most = Math.min(length, part.length - inPart);
        return target.copyFrom(part.disk, part.skip + inPart, offset, most);
      }
      start += part.length;
    }
    return NOTHING_COPIED;
  }

  /**
   * What is where, in order. Data is widened to multiples of `unit`.
   *
   * @param topOnly - leave out what only backing images hold
   */
  async *pieces(unit: number, topOnly: boolean, signal?: AbortSignal): AsyncGenerator<Piece> {
    const zeroes: Piece[] = [];
    let data: { offset: number; end: number; plain: boolean } | undefined;
    let done = 0;
    for await (const { kind, offset, length, plain } of this.#extents(topOnly, signal)) {
      if (kind === 'zero') {
        const from = Math.max(offset, done);
        if (from < offset + length) {
          zeroes.push({ kind, offset: from, length: offset + length - from, plain });
        }
        continue;
      }
      const start = Math.max(done, alignDown(offset, unit));
      const end = Math.min(this.size, alignUp(offset + length, unit));
      if (data !== undefined && start > data.end) {
        yield pieceOf(data);
        data = undefined;
      }
      for (const zero of zeroes.splice(0)) {
        const stop = Math.min(start, zero.offset + zero.length);
        if (stop > zero.offset) {
          yield { ...zero, length: stop - zero.offset };
        }
      }
      data = { offset: data?.offset ?? start, end, plain: plain && data?.plain !== false };
      done = end;
    }
    if (data !== undefined) {
      yield pieceOf(data);
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
          const kind = readsAsZeroes(extent) ? 'zero' : 'data';
          const plain = extent.kind === 'data' && extent.hostOffset !== undefined;
          yield { kind, offset, length: extent.length, plain };
        }
      }
      start += length;
    }
  }
}

function pieceOf({ offset, end, plain }: { offset: number; end: number; plain: boolean }): Piece {
  return { kind: 'data', offset, length: end - offset, plain };
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
