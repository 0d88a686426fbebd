import { close, fdatasync, fsync, open } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf } from './errno.js';

const closeFile = promisify(close);
const openFile = promisify(open);
const syncData = promisify(fdatasync);
const syncAll = promisify(fsync);

/**
 * Makes a file durable, one system call at a time. The kernel reports a failed write-back to one
 * caller only, so two calls at once could make the second believe that all is well. Callers that come
 * during a call share the next one.
 */
export class Flusher {
  readonly #fd: number;
  #newName: string | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failure: { readonly cause: unknown } | undefined;

  /** @param newName - path of the file if it was just made: its directory entry is not durable yet */
  constructor(fd: number, newName: string | undefined) {
    this.#fd = fd;
    this.#newName = newName;
  }

  /** What made an earlier flush fail. The kernel has dropped the data, so no later one can succeed. */
  get failure(): { readonly cause: unknown } | undefined {
    return this.#failure;
  }

  /** Resolves when everything written before the call is durable. */
  flush(): Promise<void> {
    if (this.#running === undefined) {
      return this.#start();
    }
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<void> {
    const running = this.#sync().finally(() => {
      if (this.#running === running) {
        this.#running = undefined;
      }
    });
    this.#running = running;
    return running;
  }

  async #sync(): Promise<void> {
    if (this.#failure !== undefined) {
      throw this.#failure.cause;
    }
    try {
      await syncData(this.#fd);
      if (this.#newName !== undefined) {
        await syncDirectory(dirname(this.#newName));
        this.#newName = undefined;
      }
    } catch (cause) {
      this.#failure = { cause };
      throw cause;
    }
  }
}

/** Where directories can't be opened or synced, entries are as durable as the platform makes them. */
async function syncDirectory(path: string): Promise<void> {
  let fd: number;
  try {
    fd = await openFile(path, 'r');
  } catch {
    return;
  }
  try {
    await syncAll(fd);
  } catch (error) {
    if (errnoOf(error) === 'EIO') {
      throw error;
    }
  } finally {
    await closeFile(fd);
  }
}
