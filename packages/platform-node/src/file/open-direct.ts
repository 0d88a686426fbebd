import type { BigIntStats } from 'node:fs';
import { close, constants, fstat, open } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { LamellaError } from '@lamella/core';
import { type AlignedMemory, alignedMemory } from './aligned-memory.js';
import { deviceNumbers } from './device-size.js';
import { DirectPath } from './direct-path.js';
import { errnoOf } from './errno.js';
import { readOnce } from './pool-io.js';

const closeFile = promisify(close);
const openFile = promisify(open);
const statFile = promisify(fstat);

const SECTOR = 512;
/** No device wants more, and every device takes it. */
const LARGEST_BLOCK = 4096;

/** A file that is open already and is to be opened a second time, for direct I/O. */
export interface DirectTarget {
  readonly path: string;
  readonly location: string;
  /** Flags of the first open. */
  readonly flags: number;
  /** Its descriptor. */
  readonly fd: number;
  /** What it is. */
  readonly stats: BigIntStats;
}

/**
 * Opens a file past the page cache.
 *
 * @throws LamellaError `UNSUPPORTED` where the system, the file system or the device has no direct I/O
 */
export async function openDirect(target: DirectTarget): Promise<DirectPath> {
  const { O_DIRECT } = constants;
  if (O_DIRECT === undefined) {
    throw unsupported(target.location, 'this system');
  }
  const memory = alignedMemory(target.location);
  const direct = await openSame(target, target.flags | O_DIRECT);
  try {
    const alignment = await findAlignment(direct, target, memory);
    return new DirectPath({ direct, cached: target.fd, alignment, memory });
  } catch (error) {
    await closeFile(direct).catch(() => undefined);
    throw error;
  }
}

async function openSame({ path, location, stats }: DirectTarget, flags: number): Promise<number> {
  let fd: number;
  try {
    fd = await openFile(path, flags);
  } catch (cause) {
    if (errnoOf(cause) === 'EINVAL') {
      throw unsupported(location, 'the file system', cause);
    }
    throw cause;
  }
  const { dev, ino } = await statFile(fd, { bigint: true });
  if (dev !== stats.dev || ino !== stats.ino) {
    await closeFile(fd).catch(() => undefined);
    throw new LamellaError('IO_ERROR', 'another file took its place while it was opened', {
      location,
      hint: 'Try again.',
    });
  }
  return fd;
}

/**
 * Bytes that direct I/O goes by: what the device below says, or 4096 where nobody knows, since holes and
 * empty files would accept less than their device will. Tried out with a read.
 */
async function findAlignment(
  fd: number,
  { stats, location }: DirectTarget,
  memory: AlignedMemory,
): Promise<number> {
  const said = await logicalBlockSize(stats.isBlockDevice() ? stats.rdev : stats.dev);
  return memory.lend(async (chunk) => {
    for (let alignment = said ?? LARGEST_BLOCK; alignment <= LARGEST_BLOCK; alignment *= 2) {
      try {
        await readOnce(fd, chunk.subarray(0, alignment), 0);
        return alignment;
      } catch (cause) {
        if (errnoOf(cause) !== 'EINVAL') {
          throw cause;
        }
      }
    }
    throw unsupported(location, 'the file system');
  });
}

async function logicalBlockSize(device: bigint): Promise<number | undefined> {
  const folder = `/sys/dev/block/${deviceNumbers(device)}`;
  // A partition has no queue of its own.
  for (const queue of [`${folder}/queue`, `${folder}/../queue`]) {
    try {
      const size = Number((await readFile(`${queue}/logical_block_size`, 'latin1')).trim());
      if (Number.isInteger(Math.log2(size)) && size >= SECTOR) {
        return size;
      }
    } catch {
      // Not there; file systems over several devices have no number of a real one.
    }
  }
  return undefined;
}

function unsupported(location: string, who: string, cause?: unknown): LamellaError {
  return new LamellaError('UNSUPPORTED', `${who} can't go past the page cache (O_DIRECT)`, {
    location,
    hint: "Use the cache mode 'writeback' or 'writethrough'.",
    cause,
  });
}
