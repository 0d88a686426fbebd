import { alignDown, alignUp } from '../bytes/index.js';
import type { Disk } from '../chain/index.js';
import type { Image, LongOperation } from '../driver/index.js';
import { readsAsZeroes } from '../engine/index.js';
import { throwIfAborted } from '../errors/index.js';
import { COPY_STEP, forEachStep } from './copy-range.js';
import { firstDifference, isZero, ZERO_GRANULE } from './zero-runs.js';

/** A run of the guest's disk. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** How differences are copied. */
interface CopyOperation extends LongOperation {
  readonly compress?: boolean | undefined;
}

/**
 * Writes into the top image what it shows through its backing chain and what another chain in that
 * place would not show. Not flushed.
 *
 * @param disk - the image over its present backing chain; nobody else uses it
 * @param top - its top image
 * @param target - the other chain; undefined for none, which reads as zeroes
 * @param operation - with `compress`, clusters that the top image holds no part of are stored compressed
 * @returns bytes written
 */
export async function copyDifferences(
  disk: Disk,
  top: Image,
  target: Disk | undefined,
  operation: CopyOperation,
): Promise<number> {
  const copier = new DifferenceCopier(disk, top, target, operation);
  return copier.run();
}

class DifferenceCopier {
  readonly #disk: Disk;
  readonly #top: Image;
  readonly #target: Disk | undefined;
  readonly #operation: CopyOperation;
  #copied = 0;
  /** What lies before it needs no further look. */
  #settledTo = 0;

  constructor(disk: Disk, top: Image, target: Disk | undefined, operation: CopyOperation) {
    this.#disk = disk;
    this.#top = top;
    this.#target = target;
    this.#operation = operation;
  }

  async run(): Promise<number> {
    const { signal, compress = false } = this.#operation;
    for await (const extent of this.#disk.extents({ signal })) {
      const end = extent.offset + extent.length;
      const offset = Math.max(extent.offset, this.#settledTo);
      if (extent.layer !== 0 && offset < end) {
        const rest = { offset, length: end - offset };
        if (readsAsZeroes(extent)) {
          await this.#keepZeroes(rest);
        } else {
          await (compress ? this.#keepCompressed(rest) : this.#keepData(rest));
        }
      }
      this.#progress(end);
    }
    return this.#copied;
  }

  #progress(done: number): void {
    this.#operation.onProgress?.({ done, total: this.#disk.size });
  }

  /** Bytes that a layer below holds. Writing part of a cluster copies the rest of it from the old chain. */
  async #keepData({ offset, length }: Range): Promise<void> {
    const { signal } = this.#operation;
    await forEachStep(this.#disk, offset, length, signal, async (buffer, position) => {
      await this.#disk.read(buffer, position);
      const other = new Uint8Array(buffer.length);
      await this.#readTarget(other, position);
      for (const { offset: start, length: count } of differingRuns(buffer, other, this.#granule)) {
        await this.#disk.write(buffer.subarray(start, start + count), position + start);
        this.#copied += count;
      }
      this.#progress(position + buffer.length);
    });
  }

  /** The same with whole clusters, compressed; what shares one with bytes of the top image is written plainly. */
  async #keepCompressed({ offset, length }: Range): Promise<void> {
    const unit = this.#top.clusterSize;
    const end = offset + length;
    const step = Math.max(COPY_STEP, unit);
    for (let position = alignDown(offset, unit); position < end; position += step) {
      throwIfAborted(this.#operation.signal, this.#disk.location);
      const stop = Math.min(position + step, alignUp(end, unit), this.#disk.size);
      const mine = new Uint8Array(stop - position);
      const other = new Uint8Array(stop - position);
      const held = await this.#heldClusters(position, stop);
      await this.#disk.read(mine, position);
      await this.#readTarget(other, position);
      for (let cluster = position; cluster < stop; cluster += unit) {
        const next = Math.min(cluster + unit, stop);
        const whole = !held.has(cluster);
        const first = whole ? cluster : Math.max(cluster, offset);
        const last = whole ? next : Math.min(next, end);
        if (differs(mine, other, first - position, last - position)) {
          const bytes = mine.subarray(first - position, last - position);
          await this.#store(bytes, first, whole);
        }
        this.#settledTo = last;
      }
      this.#progress(stop);
    }
  }

  async #store(bytes: Uint8Array, offset: number, whole: boolean): Promise<void> {
    if (!whole) {
      await this.#disk.write(bytes, offset);
    } else if (!isZero(bytes)) {
      await this.#disk.writeCompressed(bytes, offset);
    } else {
      await this.#zero(offset, bytes.length, { offset, length: bytes.length });
      return;
    }
    this.#copied += bytes.length;
  }

  /** Where the clusters begin that the top image holds anything of. */
  async #heldClusters(offset: number, end: number): Promise<ReadonlySet<number>> {
    const unit = this.#top.clusterSize;
    const held = new Set<number>();
    for await (const extent of this.#disk.extents({ offset, length: end - offset })) {
      if (extent.layer === 0) {
        const last = extent.offset + extent.length;
        for (let at = alignDown(extent.offset, unit); at < last; at += unit) {
          held.add(at);
        }
      }
    }
    return held;
  }

  /** Bytes that read as zeroes: only where the other chain holds something is there anything to do. */
  async #keepZeroes(range: Range): Promise<void> {
    const target = this.#target;
    const end = Math.min(range.offset + range.length, target?.size ?? 0);
    if (target === undefined || end <= range.offset) {
      return;
    }
    const { signal } = this.#operation;
    const part = { offset: range.offset, length: end - range.offset, signal };
    for await (const extent of target.extents(part)) {
      if (!readsAsZeroes(extent)) {
        const { offset, length } = extent;
        const step = async (buffer: Uint8Array, position: number): Promise<void> => {
          await target.read(buffer, position);
          if (!isZero(buffer)) {
            await this.#zero(position, buffer.length, range);
          }
        };
        // One after the other: two steps may meet in one cluster, and zeroing goes past the engine.
        await forEachStep(this.#disk, offset, length, signal, step, 1);
      }
    }
  }

  /**
   * Makes a part of a range of zeroes hold zeroes of its own: whole clusters by metadata where the format
   * can, everything else as data.
   */
  async #zero(offset: number, length: number, within: Range): Promise<void> {
    const unit = this.#top.clusterSize;
    const limit = within.offset + within.length;
    const start = Math.max(alignDown(offset, unit), alignUp(within.offset, unit));
    const last = limit === this.#top.size ? limit : alignDown(limit, unit);
    const end = Math.min(last, alignUp(offset + length, unit));
    let done = start;
    if (this.#top.zero !== undefined && end > start) {
      done += await this.#top.zero(start, end - start, { unmap: true, zeroBelow: false });
    }
    this.#copied += done - start;
    await this.#writeZeroes(offset, Math.min(start, offset + length));
    await this.#writeZeroes(Math.max(done, offset), offset + length);
  }

  async #writeZeroes(offset: number, end: number): Promise<void> {
    for (let position = offset; position < end; ) {
      const length = Math.min(COPY_STEP, end - position);
      await this.#disk.write(new Uint8Array(length), position);
      this.#copied += length;
      position += length;
    }
  }

  async #readTarget(buffer: Uint8Array, offset: number): Promise<void> {
    const inside = Math.min(buffer.length, Math.max(0, (this.#target?.size ?? 0) - offset));
    buffer.fill(0, inside);
    if (inside > 0) {
      await this.#target?.read(buffer.subarray(0, inside), offset);
    }
  }

  /** Unit of comparison: a cluster is copied whole anyway. */
  get #granule(): number {
    return Math.min(COPY_STEP, Math.max(this.#top.clusterSize, 4096));
  }
}

/** The runs of units that differ. */
function* differingRuns(a: Uint8Array, b: Uint8Array, unit: number): Generator<Range> {
  let first: number | undefined;
  for (let offset = 0; offset < a.length; offset += unit) {
    if (differs(a, b, offset, Math.min(a.length, offset + unit))) {
      first ??= offset;
    } else if (first !== undefined) {
      yield { offset: first, length: offset - first };
      first = undefined;
    }
  }
  if (first !== undefined) {
    yield { offset: first, length: a.length - first };
  }
}

function differs(a: Uint8Array, b: Uint8Array, start: number, end: number): boolean {
  return (
    firstDifference(a.subarray(start, end), b.subarray(start, end), ZERO_GRANULE) !== undefined
  );
}
