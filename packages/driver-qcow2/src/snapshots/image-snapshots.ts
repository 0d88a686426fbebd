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
import type { KnownSnapshots } from './known-snapshots.js';
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
}

/** The snapshots inside an image that is open for reading. */
export class ImageSnapshots<Host extends SnapshotHost = SnapshotHost> implements SnapshotStore {
  readonly #present: () => Host;

  /** @param present - the image as it is at the moment of the call */
  constructor(present: () => Host) {
    this.#present = present;
  }

  list(): readonly SnapshotInfo[] {
    return this.host.known.table.snapshots.map(({ info }) => info);
  }

  async create(_options: CreateSnapshotOptions): Promise<SnapshotInfo> {
    throw this.#readOnly();
  }

  async apply(_key: SnapshotKey): Promise<void> {
    throw this.#readOnly();
  }

  async delete(_key: SnapshotKey): Promise<void> {
    throw this.#readOnly();
  }

  async open(key: SnapshotKey): Promise<Image> {
    return this.host.open(this.find(key));
  }

  /** The image as it is now. */
  protected get host(): Host {
    return this.#present();
  }

  /** @throws LamellaError `NOT_FOUND` */
  protected find(key: SnapshotKey): Snapshot {
    const { known, storage } = this.host;
    const found = findSnapshot(this.list(), key, storage.location);
    const snapshot = known.table.snapshots.find(({ info }) => info === found);
    if (snapshot === undefined) {
      throw new Error(`snapshot ${found.id} is not in the table`);
    }
    return snapshot;
  }

  #readOnly(): LamellaError {
    return new LamellaError('READ_ONLY', 'the image was opened read-only', {
      location: this.host.storage.location,
      hint: 'Open it for writing to change its snapshots.',
    });
  }
}
