import {
  type CreateSnapshotOptions,
  findSnapshot,
  type Image,
  LamellaError,
  type SnapshotInfo,
  type SnapshotKey,
  type SnapshotStore,
  type Storage,
} from '@lamella/core';
import { unsupported } from '../errors.js';
import type { Header } from '../header/header.js';
import type { Leftovers } from '../refcount/leftovers.js';
import { applySnapshot } from './apply.js';
import type { ChangeParts } from './change-parts.js';
import { createSnapshot } from './create.js';
import { deleteSnapshot } from './delete.js';
import type { KnownSnapshots } from './known-snapshots.js';
import { assertRoom, labelOf } from './new-entry.js';
import type { Snapshot } from './table.js';

/** An image as its snapshots see it. */
export interface SnapshotHost {
  readonly storage: Storage;
  /** Whether the guest's clusters are in another file. */
  readonly externalData: boolean;
  /** The snapshots that the image has at the moment. */
  readonly known: KnownSnapshots;
  /** The image as it was. */
  open(snapshot: Snapshot): Promise<Image>;
  /** Changes the image as a whole; without it, it is read-only. */
  readonly restructure?:
    | ((
        change: (parts: ChangeParts, header: Header, leftovers: Leftovers) => Promise<void>,
      ) => Promise<void>)
    | undefined;
}

/** The snapshots inside an image. */
export class ImageSnapshots implements SnapshotStore {
  readonly #present: () => SnapshotHost;

  /** @param present - the image as it is at the moment of the call */
  constructor(present: () => SnapshotHost) {
    this.#present = present;
  }

  get #host(): SnapshotHost {
    return this.#present();
  }

  list(): readonly SnapshotInfo[] {
    return this.#host.known.table.snapshots.map(({ info }) => info);
  }

  async create(options: CreateSnapshotOptions): Promise<SnapshotInfo> {
    const restructure = this.#changing();
    const { known, storage } = this.#host;
    const { table } = known;
    const label = labelOf(options, storage.location);
    assertRoom(table, label, storage.location);
    await restructure((parts, header, leftovers) =>
      createSnapshot(parts, header, table, label, leftovers),
    );
    const created = this.list().at(-1);
    if (created === undefined) {
      throw new Error('the new snapshot is not in the table');
    }
    return created;
  }

  async apply(key: SnapshotKey): Promise<void> {
    const restructure = this.#changing();
    const snapshot = this.#find(key);
    await restructure((parts, header, leftovers) =>
      applySnapshot(parts, header, snapshot, leftovers),
    );
  }

  async delete(key: SnapshotKey): Promise<void> {
    const restructure = this.#changing();
    const { table } = this.#host.known;
    const snapshot = this.#find(key);
    await restructure((parts, header, leftovers) =>
      deleteSnapshot(parts, header, table, snapshot, leftovers),
    );
  }

  async open(key: SnapshotKey): Promise<Image> {
    return this.#host.open(this.#find(key));
  }

  #find(key: SnapshotKey): Snapshot {
    const { known, storage } = this.#host;
    const found = findSnapshot(this.list(), key, storage.location);
    const snapshot = known.table.snapshots.find(({ info }) => info === found);
    if (snapshot === undefined) {
      throw new Error(`snapshot ${found.id} is not in the table`);
    }
    return snapshot;
  }

  #changing(): NonNullable<SnapshotHost['restructure']> {
    const { restructure, storage, externalData } = this.#host;
    if (restructure === undefined) {
      throw new LamellaError('READ_ONLY', 'the image was opened read-only', {
        location: storage.location,
        hint: 'Open it for writing to change its snapshots.',
      });
    }
    if (externalData) {
      throw unsupported(
        storage.location,
        'an image with an external data file cannot have snapshots',
        'Its clusters cannot be shared; convert it to an image without one.',
      );
    }
    return restructure;
  }
}
