import type { CreateSnapshotOptions, SnapshotInfo, SnapshotKey } from '@lamella/core';
import { unsupported } from '../errors.js';
import type { WholeChange } from '../whole-change.js';
import { applySnapshot } from './apply.js';
import { createSnapshot } from './create.js';
import { deleteSnapshot } from './delete.js';
import { ImageSnapshots, type SnapshotHost } from './image-snapshots.js';
import { assertRoom, labelOf } from './new-entry.js';

/** An image whose snapshots can be changed. */
export interface ChangingSnapshotHost extends SnapshotHost {
  /** Runs a change of the image as a whole and reads it anew. */
  restructure(change: WholeChange): Promise<void>;
}

/** The snapshots inside an image that is open for writing. */
export class ChangingSnapshots extends ImageSnapshots<ChangingSnapshotHost> {
  override async create(options: CreateSnapshotOptions): Promise<SnapshotInfo> {
    const { known, storage, restructure } = this.#changeable();
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

  override async apply(key: SnapshotKey): Promise<void> {
    const { restructure } = this.#changeable();
    const snapshot = this.find(key);
    await restructure((parts, header, leftovers) =>
      applySnapshot(parts, header, snapshot, leftovers),
    );
  }

  override async delete(key: SnapshotKey): Promise<void> {
    const { known, restructure } = this.#changeable();
    const { table } = known;
    const snapshot = this.find(key);
    await restructure((parts, header, leftovers) =>
      deleteSnapshot(parts, header, table, snapshot, leftovers),
    );
  }

  /** @throws LamellaError `UNSUPPORTED` when the clusters are in another file */
  #changeable(): ChangingSnapshotHost {
    const { host } = this;
    if (host.externalData) {
      throw unsupported(
        host.storage.location,
        'an image with an external data file cannot have snapshots',
        'Its clusters cannot be shared; convert it to an image without one.',
      );
    }
    return host;
  }
}
