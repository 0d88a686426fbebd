import { alignUp } from '../bytes/index.js';
import { readsAsZeroes } from '../engine/index.js';
import { LamellaError } from '../errors/index.js';
import type { Storage, StorageExtent, WriteZeroesOptions } from '../storage/index.js';
import type { Disk } from './disk.js';

/** Disks have whole sectors of this many bytes. */
const SECTOR = 512;

/**
 * A disk as a storage: whatever opens images opens them on it, too. So a filter is a driver like any other,
 * and an image may lie within an image. Closing it leaves the disk open.
 */
export class DiskStorage implements Storage {
  /** The disk. */
  readonly disk: Disk;
  #closed = false;

  constructor(disk: Disk) {
    this.disk = disk;
  }

  get location(): string {
    return this.disk.location;
  }

  get writable(): boolean {
    return this.disk.isWritable;
  }

  get size(): number {
    return this.disk.size;
  }

  /** @throws LamellaError as `Disk.read` */
  async read(buffer: Uint8Array, offset: number): Promise<void> {
    this.#assertOpen();
    const inside = Math.max(0, Math.min(buffer.length, this.size - offset));
    buffer.fill(0, inside);
    if (inside > 0) {
      await this.disk.read(buffer.subarray(0, inside), offset);
    }
  }

  /** @throws LamellaError as `Disk.write` and `Disk.resize` */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    await this.#reach(offset + bytes.length);
    await this.disk.write(bytes, offset);
  }

  /** @throws LamellaError as {@link DiskStorage.write} */
  async writev(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    await this.write(bytes, offset);
  }

  /** @throws LamellaError as {@link DiskStorage.write} */
  async writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): Promise<void> {
    await this.#reach(offset + length);
    await this.disk.writeZeroes(offset, length, options);
  }

  /** @throws LamellaError as `Disk.discard` */
  async discard(offset: number, length: number): Promise<void> {
    this.#assertOpen();
    const inside = Math.min(length, this.size - offset);
    if (inside > 0) {
      await this.disk.discard(offset, inside);
    }
  }

  /** @throws LamellaError as `Disk.resize` */
  async truncate(size: number): Promise<void> {
    this.#assertOpen();
    await this.disk.resize(alignUp(size, SECTOR));
  }

  /** @throws LamellaError as `Disk.extents` */
  async map(offset: number, length: number): Promise<StorageExtent> {
    this.#assertOpen();
    const inside = Math.min(length, this.size - offset);
    if (inside <= 0) {
      return { kind: 'hole', length };
    }
    for await (const extent of this.disk.extents({ offset, length: inside })) {
      return { kind: readsAsZeroes(extent) ? 'hole' : 'data', length: extent.length };
    }
    return { kind: 'data', length: inside };
  }

  /** @throws LamellaError as `Disk.flush` */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.disk.flush();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Makes the disk larger where a write would end past it. */
  async #reach(end: number): Promise<void> {
    this.#assertOpen();
    if (end > this.size) {
      await this.disk.resize(alignUp(end, SECTOR));
    }
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new LamellaError('CLOSED', 'the disk is no longer used here', {
        location: this.location,
        hint: 'Open it again.',
      });
    }
  }
}
