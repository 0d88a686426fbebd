import { close, constants, fstat, ftruncate } from 'node:fs';
import { promisify } from 'node:util';
import type {
  Awaitable,
  CacheMode,
  Logger,
  Storage,
  StorageExtent,
  StoragePermissions,
  WriteZeroesOptions,
} from '@lamella/core';
import { isDirect, isWriteThrough, silentLogger } from '@lamella/core';
import { ERRNO } from '../native/constants.js';
import { Limiter } from '../native/limiter.js';
import type { NativeCalls } from '../native/native-calls.js';
import { ChangeGate } from './change-gate.js';
import { copyRange } from './copy-range.js';
import { CachedPath, type DataPath } from './data-path.js';
import { fileError } from './errno.js';
import { Flusher } from './flusher.js';
import { ImageLocks } from './image-locks.js';
import { warnUnlocked } from './lock-warning.js';
import {
  assertRange,
  closedError,
  deviceEndError,
  fixedLengthError,
  readOnlyError,
} from './refusals.js';
import { Space } from './space.js';
import { SparseMap } from './sparse-map.js';

const closeFile = promisify(close);
const statFile = promisify(fstat);
const truncateFile = promisify(ftruncate);

/** Bytes of the unit in which the system counts a file's space, whatever the file system's is. */
const STAT_BLOCK = 512;

/** Longer reads go to the pool: copying this much from the page cache holds up the event loop for half a millisecond. */
const MAX_READ_NOW = 4 * 1024 * 1024;

/** What a {@link FileStorage} is made of. */
export interface FileStorageOptions {
  /** Open file descriptor; the storage closes it. */
  readonly fd: number;
  /** The file, as the user named it. */
  readonly location: string;
  /** Same for two storages exactly when they are one file. */
  readonly identity: string;
  /** Whether the descriptor was opened for writing. */
  readonly writable: boolean;
  /** Length in bytes. */
  readonly size: number;
  /** Whether this is a block device, whose length is fixed; false by default. */
  readonly device?: boolean | undefined;
  /** Path of the file if it was just made: the first flush then makes its name durable too. */
  readonly newName?: string | undefined;
  /** System calls beyond what Node.js offers. */
  readonly native: NativeCalls;
  /** How writes reach the device; `'writeback'` by default. The descriptor has the flags for it. */
  readonly cache?: CacheMode | undefined;
  /** How bytes get from and to the file, closed with it; through the page cache by default. */
  readonly path?: DataPath | undefined;
  /** Hears that files can't be locked here; nobody by default. */
  readonly logger?: Logger | undefined;
}

/**
 * A file or block device. Reads are answered on the spot when the page cache has the bytes, and by
 * libuv's thread pool otherwise; everything that can wait for the device runs in the pool.
 */
export class FileStorage implements Storage {
  readonly location: string;
  readonly identity: string;
  readonly writable: boolean;
  readonly #fd: number;
  readonly #device: boolean;
  readonly #copyFileRange: NativeCalls['copyFileRange'];
  readonly #sharesBlocks: NativeCalls['sharesBlocks'];
  /** The kernel lets one copy at a time into a file; threads that wait for it keep processors busy. */
  readonly #copies = new Limiter(1);
  readonly #path: DataPath;
  readonly #cache: CacheMode;
  readonly #space: Space;
  readonly #flusher: Flusher;
  readonly #sparse: SparseMap | undefined;
  readonly #locks: ImageLocks | undefined;
  readonly #logger: Logger;
  #readNow: NativeCalls['readNow'];
  #size: number;
  readonly #gate = new ChangeGate();
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor(options: FileStorageOptions) {
    this.location = options.location;
    this.identity = options.identity;
    this.writable = options.writable;
    this.#fd = options.fd;
    this.#size = options.size;
    this.#device = options.device ?? false;
    this.#cache = options.cache ?? 'writeback';
    this.#path = options.path ?? new CachedPath(options.fd);
    // It reads from the page cache only.
    this.#readNow = isDirect(this.#cache) ? undefined : options.native.readNow;
    const { seek } = options.native;
    this.#copyFileRange = options.native.copyFileRange;
    this.#sharesBlocks = options.native.sharesBlocks;
    this.#sparse = seek && new SparseMap(options.fd, seek);
    this.#locks = locksOf(options);
    this.#logger = options.logger ?? silentLogger;
    this.#space = new Space(options.fd, options.native);
    this.#flusher = new Flusher(options.fd, options.newName);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Announces to others, QEMU's tools among them, how the file is used, and fails if one of them uses it
   * otherwise. Where locks do not exist, a warning is given once and nothing is protected.
   *
   * @throws LamellaError `LOCKED`, `CLOSED`, `IO_ERROR`
   */
  async lock(permissions: StoragePermissions): Promise<void> {
    this.#assertOpen();
    await this.#using('lock the file', async () => {
      if (this.#locks === undefined) {
        warnUnlocked(this.#logger, this.location, 'files can be locked with koffi on Linux only');
      } else if (!this.#locks.change(permissions)) {
        warnUnlocked(this.#logger, this.location, 'the file system has no locks of open files');
      }
      if (!this.#device) {
        // Whoever had it before may have changed the length since it was opened here.
        this.#size = (await statFile(this.#fd)).size;
      }
    });
  }

  /** @throws LamellaError `IO_ERROR`, `CLOSED`, `INVALID_ARGUMENT` */
  read(buffer: Uint8Array, offset: number): Awaitable<void> {
    const length = buffer.length;
    this.#assertOpen();
    assertRange(this.location, offset, length);
    const readNow = this.#readNow;
    if (readNow === undefined || length > MAX_READ_NOW) {
      return length === 0 ? undefined : this.#readInPool(buffer, 0, offset);
    }
    const count = length === 0 ? 0 : readNow(this.#fd, buffer, offset);
    if (count === length) {
      return;
    }
    if (count >= 0 && offset + count >= this.#size) {
      buffer.fill(0, count);
      return;
    }
    if (count < 0 && count !== -ERRNO.EAGAIN && count !== -ERRNO.EINTR && count !== -ERRNO.EIO) {
      // The file system does not know RWF_NOWAIT, or a sandbox forbids the call.
      this.#readNow = undefined;
    }
    return this.#readInPool(buffer, Math.max(0, count), offset);
  }

  /** @throws LamellaError `IO_ERROR`, `NO_SPACE`, `READ_ONLY`, `CLOSED`, `INVALID_ARGUMENT` */
  write(bytes: Uint8Array, offset: number): Awaitable<void> {
    this.#assertWritable();
    assertRange(this.location, offset, bytes.length);
    if (bytes.length === 0) {
      return;
    }
    return this.#write([bytes], offset, bytes.length);
  }

  /** @throws LamellaError as {@link FileStorage.write} */
  writev(pieces: readonly Uint8Array[], offset: number): Awaitable<void> {
    let length = 0;
    for (const piece of pieces) {
      length += piece.length;
    }
    this.#assertWritable();
    assertRange(this.location, offset, length);
    if (length === 0) {
      return;
    }
    return this.#write(pieces, offset, length);
  }

  #write(pieces: readonly Uint8Array[], offset: number, length: number): Promise<void> {
    return this.#change('write', offset, length, async () => {
      await this.#path.write(pieces, offset, length, this.#size);
      if (constants.O_DSYNC === undefined) {
        await this.#settle();
      }
    });
  }

  /** @throws LamellaError as {@link FileStorage.write} */
  writeZeroes(offset: number, length: number, options: WriteZeroesOptions = {}): Awaitable<void> {
    this.#assertWritable();
    assertRange(this.location, offset, length);
    if (length === 0) {
      return;
    }
    return this.#change('write zeroes', offset, length, async () => {
      await this.#path.alone(offset, length, () =>
        options.unmap === false ? this.#reserveZeroes(offset, length) : this.#unmap(offset, length),
      );
      await this.#settle();
    });
  }

  /** Makes durable what the flags of the descriptor do not, where every change has to be. */
  async #settle(): Promise<void> {
    if (isWriteThrough(this.#cache)) {
      await this.#flusher.flush();
    }
  }

  async #reserveZeroes(offset: number, length: number): Promise<void> {
    if (!(await this.#space.zero(offset, length))) {
      await this.#space.fill(offset, offset + length);
    }
  }

  async #unmap(offset: number, length: number): Promise<void> {
    const end = offset + length;
    const oldSize = this.#size;
    const grows = end > oldSize && !this.#device;
    if (grows) {
      await this.#space.grow(end);
    }
    if (!(await this.#space.punch(offset, length))) {
      await this.#space.fill(offset, grows ? oldSize : end);
    }
  }

  /**
   * Copies from another file within the kernel; file systems that can then share the blocks.
   *
   * @returns bytes copied; 0 if the source is no such file, or either goes past the page cache
   * @throws LamellaError as {@link FileStorage.write} and {@link FileStorage.read}
   */
  async copyFrom(
    source: Storage,
    sourceOffset: number,
    offset: number,
    length: number,
  ): Promise<number> {
    this.#assertWritable();
    assertRange(this.location, offset, length);
    const copy = this.#copyFileRange;
    if (!(source instanceof FileStorage) || copy === undefined || length === 0) {
      return 0;
    }
    source.#assertOpen();
    assertRange(source.location, sourceOffset, length);
    if (this.#goesPast(source)) {
      return 0;
    }
    return source.#gate.use(async () => {
      let done = 0;
      await this.#change('copy', offset, 0, async () => {
        done = await this.#copies.run(() =>
          copyRange(copy, source.#fd, sourceOffset, this.#fd, offset, length),
        );
        this.#size = Math.max(this.#size, done === 0 ? 0 : offset + done);
        await this.#settle();
      });
      return done;
    });
  }

  /** Whether both are files of one file system that is known for it. */
  sharesBlocksWith(source: Storage): boolean {
    return (
      source instanceof FileStorage &&
      !this.#goesPast(source) &&
      this.#sharesBlocks?.(source.#fd, this.#fd) === true
    );
  }

  /** Whether this file or the other is used past the page cache, in which the kernel copies. */
  #goesPast(source: FileStorage): boolean {
    return isDirect(this.#cache) || isDirect(source.#cache);
  }

  /** @throws LamellaError as {@link FileStorage.write} */
  discard(offset: number, length: number): Awaitable<void> {
    this.#assertWritable();
    assertRange(this.location, offset, length);
    const inside = Math.min(length, this.#size - offset);
    if (inside <= 0) {
      return;
    }
    return this.#change('discard', offset, inside, () =>
      this.#path.alone(offset, inside, async () => {
        await this.#space.punch(offset, inside);
      }),
    );
  }

  /**
   * Sets the length. A truncation that makes the file longer never cuts off what writes under way put
   * behind it; one that makes it shorter comes after the writes that had begun.
   *
   * @throws LamellaError as {@link FileStorage.write}; `UNSUPPORTED` for a shorter block device; `LOCKED`
   * when somebody who shares the file does not allow it
   */
  truncate(size: number): Awaitable<void> {
    this.#assertWritable();
    assertRange(this.location, size, 0);
    this.#assertDeviceHolds(size);
    if (this.#device) {
      if (size < this.#size) {
        throw fixedLengthError(this.location);
      }
      return;
    }
    const grows = size >= this.#size;
    return this.#gate.truncate(() => this.#setLength(size, grows));
  }

  async #setLength(size: number, grows: boolean): Promise<void> {
    if (grows && size <= this.#size) {
      return;
    }
    try {
      await this.#resizing(() => truncateFile(this.#fd, size));
      this.#size = size;
      await this.#settle();
    } catch (cause) {
      throw fileError(cause, { location: this.location, action: `set the length to ${size}` });
    }
  }

  /** Others may hold on to the length of a file that is shared with them: asks them for this moment. */
  async #resizing(action: () => Promise<void>): Promise<void> {
    const held = this.#locks?.permissions;
    if (this.#locks === undefined || held === undefined || held.uses.includes('resize')) {
      return action();
    }
    this.#locks.change({ ...held, uses: [...held.uses, 'resize'] });
    try {
      await action();
    } finally {
      this.#locks.change(held);
    }
  }

  /** @throws LamellaError `CLOSED`, `INVALID_ARGUMENT` for a length below 1 */
  map(offset: number, length: number): StorageExtent {
    this.#assertOpen();
    assertRange(this.location, offset, length - 1);
    const inside = Math.min(length, this.#size - offset);
    if (inside <= 0) {
      return { kind: 'hole', length };
    }
    return this.#sparse?.at(offset, inside) ?? { kind: 'data', length: inside };
  }

  async allocatedSize(): Promise<number> {
    this.#assertOpen();
    return this.#using(
      'look at the file',
      async () => (await statFile(this.#fd)).blocks * STAT_BLOCK,
    );
  }

  /**
   * Makes durable what finished writes wrote; for a new file, its name as well. After a failure all
   * later flushes fail too, because the kernel forgets what it could not write. With the cache mode
   * `unsafe` it does nothing.
   *
   * @throws LamellaError `IO_ERROR`, `NO_SPACE`, `CLOSED`
   */
  async flush(): Promise<void> {
    this.#assertOpen();
    if (!this.writable || this.#cache === 'unsafe') {
      return;
    }
    const failedBefore = this.#flusher.failure !== undefined;
    const action = failedBefore ? 'flush, because an earlier flush failed' : 'flush';
    await this.#using(action, () => this.#flusher.flush());
  }

  /**
   * Closes the file after operations under way have ended. Closing twice is no error.
   *
   * @throws LamellaError `IO_ERROR`
   */
  close(): Promise<void> {
    this.#closing ??= this.#release();
    return this.#closing;
  }

  async #release(): Promise<void> {
    this.#closed = true;
    await this.#gate.idle();
    try {
      await this.#path.close().finally(() => closeFile(this.#fd));
    } catch (cause) {
      throw fileError(cause, { location: this.location, action: 'close' });
    }
  }

  #readInPool(buffer: Uint8Array, from: number, offset: number): Promise<void> {
    return this.#gate.use(async () => {
      try {
        const end = await this.#path.read(buffer, from, offset + from);
        if (end < buffer.length) {
          buffer.fill(0, end);
        }
      } catch (cause) {
        throw fileError(cause, { location: this.location, action: 'read', offset });
      }
    });
  }

  #using<T>(action: string, work: () => Promise<T>): Promise<T> {
    return this.#gate.use(async () => {
      try {
        return await work();
      } catch (cause) {
        throw fileError(cause, { location: this.location, action });
      }
    });
  }

  async #change(
    action: string,
    offset: number,
    length: number,
    work: () => Promise<void>,
  ): Promise<void> {
    this.#assertDeviceHolds(offset + length);
    await this.#gate.change(async () => {
      try {
        await work();
        this.#size = Math.max(this.#size, offset + length);
      } catch (cause) {
        await this.#measure();
        throw fileError(cause, { location: this.location, action, offset });
      }
    });
  }

  /** After a failed change: it may have grown the file in part. Changes never make it shorter. */
  async #measure(): Promise<void> {
    try {
      const { size } = await statFile(this.#fd);
      this.#size = Math.max(this.#size, size);
    } catch {
      // The failure of the change itself is what the caller has to hear of.
    }
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw closedError(this.location);
    }
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (!this.writable) {
      throw readOnlyError(this.location);
    }
  }

  /** Said beforehand: the kernel cuts a zeroed range at the end of the device and reports success. */
  #assertDeviceHolds(end: number): void {
    if (this.#device && end > this.#size) {
      throw deviceEndError(this.location, this.#size, end);
    }
  }
}

function locksOf({ fd, location, native }: FileStorageOptions): ImageLocks | undefined {
  return native.locks && new ImageLocks(fd, location, native.locks);
}
