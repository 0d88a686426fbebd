import { InterceptedStorage, type StorageCall } from '@lamella/driver-testkit';
import { type Awaitable, MemoryStorage, type Storage, type StorageDriver } from 'lamella';

/**
 * Opens `mem:` locations: every opening gives a fresh, bounded copy of the bytes that were put there.
 * Calls take a turn of the event loop, so that an endless loop over them does not stop timers, and
 * abandoned storages fail, so that it ends.
 */
export class MemoryDriver implements StorageDriver {
  readonly scheme = 'mem';
  readonly #unclosed = new Set<BoundedStorage>();
  readonly #images = new Map<string, Uint8Array>();
  readonly #maxBytes: number;

  /** @param maxBytes - of memory for each opening, so that damaged offsets cannot fill it */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Storages that were opened and are not closed. */
  get unclosed(): number {
    return this.#unclosed.size;
  }

  put(location: string, bytes: Uint8Array): void {
    this.#images.set(location, bytes);
  }

  /** Forgets what is open; whoever still uses it gets a plain Error. */
  abandon(): void {
    for (const storage of this.#unclosed) {
      storage.abandoned = true;
    }
    this.#unclosed.clear();
  }

  async open(location: string, options: { readonly writable: boolean }): Promise<Storage> {
    const bytes = this.#images.get(location);
    if (bytes === undefined) {
      throw new Error(`nothing was put at ${location}`);
    }
    const inner = MemoryStorage.from(bytes, { location, maxBytes: this.#maxBytes });
    const storage = new BoundedStorage(inner, options.writable, () =>
      this.#unclosed.delete(storage),
    );
    this.#unclosed.add(storage);
    return storage;
  }

  resolve(reference: string): string {
    return reference;
  }

  async realLocation(location: string): Promise<string> {
    return location;
  }
}

class BoundedStorage extends InterceptedStorage {
  abandoned = false;
  readonly #mayWrite: boolean;
  readonly #onClose: () => void;

  constructor(inner: Storage, mayWrite: boolean, onClose: () => void) {
    super(inner);
    this.#mayWrite = mayWrite;
    this.#onClose = onClose;
  }

  override async close(): Promise<void> {
    this.#onClose();
    await super.close();
  }

  protected override async intercept<T>(
    call: StorageCall,
    proceed: () => Awaitable<T>,
  ): Promise<T> {
    await new Promise((resolve) => setImmediate(resolve));
    const reads = call.method === 'read' || call.method === 'map' || call.method === 'flush';
    if (this.abandoned || !(reads || this.#mayWrite)) {
      // No LamellaError: a write to what was opened for reading has to fail the test.
      throw new Error(
        `${call.method} on a storage that is ${this.abandoned ? 'abandoned' : 'read-only'}`,
      );
    }
    return proceed();
  }
}
