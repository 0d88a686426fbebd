import { isLamellaError, type LamellaError, type Storage } from '@lamella/core';
import type { Header } from '../header/header.js';
import { readSnapshotTable, type SnapshotTable } from './table.js';

/**
 * The snapshot table as it was read with the header. A damaged one does not keep the disk from being used:
 * only who asks for snapshots hears of it.
 */
export class KnownSnapshots {
  readonly #table: SnapshotTable | LamellaError;

  private constructor(table: SnapshotTable | LamellaError) {
    this.#table = table;
  }

  /**
   * Reads the table: at most 64 MiB.
   *
   * @throws LamellaError `IO_ERROR`
   */
  static async read(storage: Storage, header: Header): Promise<KnownSnapshots> {
    try {
      return new KnownSnapshots(await readSnapshotTable(storage, header));
    } catch (error) {
      if (isLamellaError(error) && error.code !== 'IO_ERROR') {
        return new KnownSnapshots(error);
      }
      throw error;
    }
  }

  /**
   * The table.
   *
   * @throws LamellaError `LIMIT_EXCEEDED`, `TRUNCATED` when it is damaged
   */
  get table(): SnapshotTable {
    if ('snapshots' in this.#table) {
      return this.#table;
    }
    throw this.#table;
  }
}
