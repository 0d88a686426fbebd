import type {
  CreateSnapshotOptions,
  SnapshotInfo,
  SnapshotKey,
  SnapshotStore,
} from '../driver/index.js';
import { findSnapshot } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import type { Disk } from './disk.js';
import type { Layer } from './layer.js';

/** What {@link DiskSnapshots} needs of its disk. */
export interface SnapshotOwner {
  /** The disk's top layer. */
  readonly layer: Layer;
  /** Whether writes are allowed. */
  readonly writable: boolean;
  /** Runs something while no request is under way. */
  alone<T>(action: () => Promise<T>): Promise<T>;
  /** A disk over a layer in place of the top one. */
  over(layer: Layer): Disk;
}

/** The snapshots inside a disk's top image. */
export class DiskSnapshots {
  readonly #owner: SnapshotOwner;
  /** Disks as of snapshots, by the snapshots' identifiers. */
  readonly #open = new Map<Disk, string>();

  /** @internal Made by `Disk`. */
  constructor(owner: SnapshotOwner) {
    this.#owner = owner;
  }

  /**
   * All snapshots, oldest first.
   *
   * @throws LamellaError `UNSUPPORTED` for a format without snapshots; `LIMIT_EXCEEDED`, `TRUNCATED`,
   * `CORRUPT` when what the image says of them is damaged
   */
  list(): readonly SnapshotInfo[] {
    return this.#store().list();
  }

  /**
   * Keeps the disk's present state under a name, while no other request is under way. Durable when it
   * resolves; a crash in between leaves the disk without the snapshot.
   *
   * @throws LamellaError `READ_ONLY`, `UNSUPPORTED`, `INVALID_ARGUMENT`, `LIMIT_EXCEEDED` (refcounts too
   * narrow, too many snapshots), `NO_SPACE`, `CORRUPT`, `IO_ERROR`
   */
  create(options: CreateSnapshotOptions): Promise<SnapshotInfo> {
    return this.#change((store) => store.create(options));
  }

  /**
   * Makes the disk as it was, its size included, while no other request is under way. What was written
   * since is gone, unless another snapshot has it. Durable when it resolves; a crash in between leaves the
   * disk as it was before or as it is then.
   *
   * @throws LamellaError `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have, `READ_ONLY`,
   * `UNSUPPORTED` (also for an image with bitmaps), `LIMIT_EXCEEDED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR`
   */
  apply(key: SnapshotKey): Promise<void> {
    return this.#change((store) => store.apply(key));
  }

  /**
   * Forgets a snapshot and frees what only it held, while no other request is under way. Disks that are
   * open as of it are closed first. Durable when it resolves.
   *
   * @throws LamellaError `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have, `READ_ONLY`,
   * `UNSUPPORTED`, `NO_SPACE`, `CORRUPT`, `IO_ERROR`
   */
  delete(key: SnapshotKey): Promise<void> {
    return this.#change(async (store) => {
      const { id } = findSnapshot(store.list(), key, this.#location);
      await this.close(id);
      await store.delete(key);
    });
  }

  /**
   * The disk as it was, read-only, above the same backing chain, while this disk goes on being used. It is
   * closed with this disk, or before its snapshot is deleted.
   *
   * @throws LamellaError `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have, `UNSUPPORTED`,
   * `CORRUPT`, `CLOSED`, `IO_ERROR`
   */
  async open(key: SnapshotKey): Promise<Disk> {
    const store = this.#store();
    return this.#owner.alone(async () => {
      const { id } = findSnapshot(store.list(), key, this.#location);
      const image = await store.open(key);
      const disk = this.#owner.over({
        ...this.#owner.layer,
        image,
        writable: false,
        borrowsStorage: true,
      });
      this.#open.set(disk, id);
      return disk;
    });
  }

  /** @internal Closes the disks that are open as of a snapshot, or all of them. */
  async close(id?: string): Promise<void> {
    for (const [disk, snapshot] of [...this.#open]) {
      if (id === undefined || snapshot === id) {
        this.#open.delete(disk);
        await disk.close();
      }
    }
  }

  get #location(): string {
    return this.#owner.layer.storage.location;
  }

  async #change<T>(change: (store: SnapshotStore) => Promise<T>): Promise<T> {
    const store = this.#store();
    if (!this.#owner.writable) {
      throw new LamellaError('READ_ONLY', 'the disk was opened read-only', {
        location: this.#location,
        hint: 'Open it with { writable: true } to change its snapshots.',
      });
    }
    return this.#owner.alone(() => change(store));
  }

  #store(): SnapshotStore {
    const { image, format } = this.#owner.layer;
    if (image.snapshots === undefined) {
      throw new LamellaError('UNSUPPORTED', `images of the format '${format}' have no snapshots`, {
        location: this.#location,
        hint: 'Use a qcow2 image, or an overlay for each state to keep.',
      });
    }
    return image.snapshots;
  }
}
