import type { BigIntStats } from 'node:fs';
import { close, constants, fstat, open, realpath, stat, unlink } from 'node:fs';
import { promisify } from 'node:util';
import type {
  Logger,
  StorageCreateOptions,
  StorageDriver,
  StorageOpenOptions,
} from '@lamella/core';
import { isDirect, isWriteThrough, LamellaError, LOGGER, silentLogger } from '@lamella/core';
import { inject, injectable } from 'tsyringe';
import type { NativeCalls } from '../native/native-calls.js';
import { NATIVE_CALLS, nativeCalls } from '../native/native-calls.js';
import { deviceSize } from './device-size.js';
import { errnoOf, fileError } from './errno.js';
import { pathOf, resolvePath } from './file-location.js';
import { FileStorage, type FileStorageOptions } from './file-storage.js';
import { openDirect } from './open-direct.js';

const closeFile = promisify(close);
const openFile = promisify(open);
const realPath = promisify(realpath.native);
const statFile = promisify(fstat);
const statPath = promisify(stat);
const unlinkPath = promisify(unlink);

/** If a pipe takes the file's place between stat and open, open returns at once all the same. */
const O_NONBLOCK = constants.O_NONBLOCK ?? 0;
/** Where there is no such flag, the storage flushes after every write instead. */
const O_DSYNC = constants.O_DSYNC ?? 0;
const O_NOCTTY = constants.O_NOCTTY ?? 0;
const SAFELY = O_NONBLOCK | O_NOCTTY;

/**
 * Files and block devices of this machine. A location is a plain path, `file:PATH` (taken literally)
 * or `file:///PATH` (percent-decoded).
 */
@injectable()
export class FileStorageDriver implements StorageDriver {
  readonly scheme = 'file';
  readonly #native: NativeCalls;
  readonly #logger: Logger;

  /**
   * @param native - system calls beyond what Node.js offers; `{}` does without
   * @param logger - hears once that files can't be locked here
   */
  constructor(
    @inject(NATIVE_CALLS, { isOptional: true }) native: NativeCalls = nativeCalls(),
    @inject(LOGGER, { isOptional: true }) logger: Logger = silentLogger,
  ) {
    this.#native = native;
    this.#logger = logger;
  }

  /**
   * Opens a file or block device. Never waits for somebody at the other end of a pipe.
   *
   * @throws LamellaError `NOT_FOUND`, `PERMISSION_DENIED`, `NOT_A_FILE`, `INVALID_ARGUMENT`,
   * `IO_ERROR`; `UNSUPPORTED` where the cache modes `none` and `directsync` can't be had
   */
  async open(location: string, options: StorageOpenOptions): Promise<FileStorage> {
    const path = pathOf(location);
    const { writable, cache } = options;
    const access = writable ? constants.O_RDWR : constants.O_RDONLY;
    const flags = access | SAFELY | (writable && isWriteThrough(cache) ? O_DSYNC : 0);
    let fd: number;
    try {
      assertRandomAccess(await statPath(path, { bigint: true }), location);
      fd = await openFile(path, flags);
    } catch (cause) {
      throw fileError(cause, {
        location,
        action: writable ? 'open for writing' : 'open',
      });
    }
    return closingOnFailure(fd, async () => {
      const stats = await statOpen(fd, location);
      assertRandomAccess(stats, location);
      const size = stats.isBlockDevice()
        ? await deviceSize(fd, stats.rdev, location, this.#native)
        : safeSize(stats.size, location);
      const direct = isDirect(cache)
        ? await openDirect({ path, location, flags, fd, stats }).catch((cause: unknown) => {
            throw fileError(cause, { location, action: 'open past the page cache' });
          })
        : undefined;
      return this.#storage(fd, stats, location, { writable, size, cache, path: direct });
    });
  }

  /**
   * Makes an empty file, or empties an existing one, after taking the locks that are asked for.
   *
   * @throws LamellaError `ALREADY_EXISTS`, `LOCKED`, `NOT_FOUND` (the directory), `PERMISSION_DENIED`,
   * `NOT_A_FILE`, `NO_SPACE`, `INVALID_ARGUMENT`, `IO_ERROR`
   */
  async create(location: string, options: StorageCreateOptions): Promise<FileStorage> {
    const path = pathOf(location);
    let fd: number;
    try {
      await assertReplaceable(path, location);
      const mode = constants.O_CREAT | (options.overwrite ? 0 : constants.O_EXCL);
      // Not O_TRUNC: what was opened has to be looked at before it is emptied.
      fd = await openFile(path, constants.O_RDWR | mode | SAFELY);
    } catch (cause) {
      throw fileError(cause, { location, action: 'create' });
    }
    return closingOnFailure(fd, async () => {
      const stats = await statOpen(fd, location);
      assertRegular(stats, location);
      const storage = this.#storage(fd, stats, location, {
        writable: true,
        size: safeSize(stats.size, location),
        newName: path,
      });
      if (options.permissions !== undefined) {
        await storage.lock(options.permissions);
      }
      await storage.truncate(0);
      return storage;
    });
  }

  /**
   * Removes a file. A symbolic link stays and what it leads to goes, as `create` would have made it.
   *
   * @throws LamellaError `PERMISSION_DENIED`, `NOT_A_FILE`, `INVALID_ARGUMENT`, `IO_ERROR`
   */
  async remove(location: string): Promise<void> {
    const path = pathOf(location);
    try {
      assertRegular(await statPath(path, { bigint: true }), location);
      await unlinkPath(await realPath(path));
    } catch (cause) {
      if (errnoOf(cause) !== 'ENOENT') {
        throw fileError(cause, { location, action: 'remove' });
      }
    }
  }

  /**
   * The path that a reference means, relative to the directory of the image that names it. `..` is
   * left for the operating system, which follows links before it goes up.
   *
   * @throws LamellaError `INVALID_ARGUMENT`
   */
  resolve(reference: string, base: string): string {
    return resolvePath(reference, base);
  }

  /** @throws LamellaError `NOT_FOUND`, `PERMISSION_DENIED`, `INVALID_ARGUMENT` */
  async realLocation(location: string): Promise<string> {
    const path = pathOf(location);
    try {
      return await realPath(path);
    } catch (cause) {
      throw fileError(cause, { location, action: 'follow the path' });
    }
  }

  #storage(fd: number, stats: BigIntStats, location: string, how: Opened): FileStorage {
    const device = stats.isBlockDevice();
    return new FileStorage({
      fd,
      location,
      identity: device ? `device:${stats.rdev}` : `${stats.dev}:${stats.ino}`,
      ...how,
      device,
      native: this.#native,
      logger: this.#logger,
    });
  }
}

type Opened = Pick<FileStorageOptions, 'writable' | 'size' | 'newName' | 'cache' | 'path'>;

async function closingOnFailure<T>(fd: number, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    await closeFile(fd).catch(() => undefined);
    throw error;
  }
}

async function statOpen(fd: number, location: string): Promise<BigIntStats> {
  try {
    return await statFile(fd, { bigint: true });
  } catch (cause) {
    throw fileError(cause, { location, action: 'open' });
  }
}

async function assertReplaceable(path: string, location: string): Promise<void> {
  try {
    assertRegular(await statPath(path, { bigint: true }), location);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') {
      throw error;
    }
  }
}

function safeSize(size: bigint, location: string): number {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new LamellaError('LIMIT_EXCEEDED', `the file has ${size} bytes, more than 8 PiB`, {
      location,
      hint: 'Lamella addresses at most 2^53 - 1 bytes.',
    });
  }
  return Number(size);
}

function assertRegular(stats: BigIntStats, location: string): void {
  if (!stats.isFile()) {
    throw notAFile(stats, location);
  }
}

function assertRandomAccess(stats: BigIntStats, location: string): void {
  if (!stats.isFile() && !stats.isBlockDevice()) {
    throw notAFile(stats, location);
  }
}

function notAFile(stats: BigIntStats, location: string): LamellaError {
  const [what, hint] = describe(stats);
  return new LamellaError('NOT_A_FILE', `is ${what}`, { location, hint });
}

function describe(stats: BigIntStats): readonly [what: string, hint: string] {
  if (stats.isDirectory()) {
    return ['a directory', 'Name a file within the directory.'];
  }
  if (stats.isBlockDevice()) {
    return ['a block device', 'Write to it by opening it; only files can be made or removed.'];
  }
  const what = stats.isFIFO() ? 'a pipe' : stats.isSocket() ? 'a socket' : 'a character device';
  return [
    what,
    'Images need random access: copy the data into a file, or name a file or block device.',
  ];
}
