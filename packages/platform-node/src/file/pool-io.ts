import { read, write, writev } from 'node:fs';
import { errnoOf } from './errno.js';

/** Linux moves at most 2 GiB - 4 KiB per call, and Node.js takes no more than 2 GiB - 1. */
const MAX_TRANSFER = 1024 * 1024 * 1024;

/** Most pieces that one `pwritev` takes (`IOV_MAX`). */
const MAX_PIECES = 1024;

/**
 * Reads from a position on until the buffer is full or the file ends. One call of `fs.read`, which
 * costs a fifth of `FileHandle.read`, per piece.
 *
 * @param from - index in the buffer of the first byte wanted
 * @param position - byte offset in the file of that byte
 * @returns index after the last byte read
 */
export function readFully(
  fd: number,
  buffer: Uint8Array,
  from: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let done = from;
    const next = (): void => {
      const length = Math.min(buffer.length - done, MAX_TRANSFER);
      read(fd, buffer, done, length, position + (done - from), arrived);
    };
    const arrived = (error: NodeJS.ErrnoException | null, count: number): void => {
      if (error !== null) {
        if (errnoOf(error) === 'EINTR') {
          next();
        } else {
          reject(error);
        }
        return;
      }
      done += count;
      if (count === 0 || done === buffer.length) {
        resolve(done);
      } else {
        next();
      }
    };
    next();
  });
}

/** One read of at most so many bytes; fewer may arrive, and none at the end of the file. */
export function readOnce(fd: number, buffer: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      read(fd, buffer, 0, buffer.length, position, (error, count) => {
        if (error === null) {
          resolve(count);
        } else if (errnoOf(error) === 'EINTR') {
          attempt();
        } else {
          reject(error);
        }
      });
    };
    attempt();
  });
}

/** Writes all bytes at a position. */
export function writeFully(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = 0;
    const next = (): void => {
      const length = Math.min(bytes.length - done, MAX_TRANSFER);
      write(fd, bytes, done, length, position + done, written);
    };
    const written = (error: NodeJS.ErrnoException | null, count: number): void => {
      if (error !== null && errnoOf(error) !== 'EINTR') {
        reject(error);
        return;
      }
      if (error === null) {
        if (count === 0) {
          reject(noProgress());
          return;
        }
        done += count;
      }
      if (done === bytes.length) {
        resolve();
      } else {
        next();
      }
    };
    next();
  });
}

/** Writes pieces one after the other at a position, with as few system calls as possible. */
export function writevFully(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const queue = new PieceQueue(pieces);
    const next = (): void => {
      writev(fd, queue.head(MAX_PIECES), position + queue.taken, written);
    };
    const written = (error: NodeJS.ErrnoException | null, count: number): void => {
      if (error !== null && errnoOf(error) !== 'EINTR') {
        reject(error);
        return;
      }
      if (error === null) {
        if (count === 0) {
          reject(noProgress());
          return;
        }
        queue.take(count);
      }
      if (queue.empty) {
        resolve();
      } else {
        next();
      }
    };
    if (queue.empty) {
      resolve();
    } else {
      next();
    }
  });
}

function noProgress(): Error {
  return new Error('the system wrote nothing and reported no error');
}

/** Pieces that wait to be written; a short write may end anywhere within one. */
export class PieceQueue {
  readonly #pieces: Uint8Array[];
  #first = 0;
  #taken = 0;

  /** @param pieces - in order; empty ones are left out */
  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = pieces.filter((piece) => piece.length > 0);
  }

  /** Bytes taken so far. */
  get taken(): number {
    return this.#taken;
  }

  /** Whether everything has been taken. */
  get empty(): boolean {
    return this.#first === this.#pieces.length;
  }

  /** The next pieces, at most so many. */
  head(count: number): Uint8Array[] {
    return this.#pieces.slice(this.#first, this.#first + count);
  }

  /** Moves bytes from the front into a buffer, as many as it has room for. */
  copy(buffer: Uint8Array): void {
    for (let done = 0; done < buffer.length; ) {
      const piece = this.#pieces[this.#first];
      if (piece === undefined) {
        return;
      }
      const part = piece.subarray(0, buffer.length - done);
      buffer.set(part, done);
      done += part.length;
      this.take(part.length);
    }
  }

  /** Drops so many bytes from the front. */
  take(bytes: number): void {
    this.#taken += bytes;
    let left = bytes;
    for (let piece = this.#pieces[this.#first]; piece !== undefined && left > 0; ) {
      if (left < piece.length) {
        this.#pieces[this.#first] = piece.subarray(left);
        return;
      }
      left -= piece.length;
      this.#first += 1;
      piece = this.#pieces[this.#first];
    }
  }
}
