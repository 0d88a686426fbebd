import { Mutex } from 'async-mutex';

/**
 * One exclusive lock per table, made when first wanted and gone with its last user. Lookups and plain
 * updates of a present table are synchronous and take no lock; making, copying or replacing a table
 * awaits in between and therefore does.
 */
export class TableLocks {
  readonly #locks = new Map<number, { readonly mutex: Mutex; users: number }>();

  /** Whether somebody is making or replacing the table. */
  isLocked(table: number): boolean {
    return this.#locks.size > 0 && this.#locks.has(table);
  }

  /**
   * Runs alone among the holders of this table's lock.
   *
   * @param table - the table's number: its index in the L1 table, for L2 tables
   * @throws what the action throws
   */
  async exclusive<T>(table: number, action: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(table) ?? { mutex: new Mutex(), users: 0 };
    this.#locks.set(table, lock);
    lock.users += 1;
    try {
      return await lock.mutex.runExclusive(action);
    } finally {
      lock.users -= 1;
      if (lock.users === 0) {
        this.#locks.delete(table);
      }
    }
  }
}
