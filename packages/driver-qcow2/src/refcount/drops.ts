/** Host bytes that a mapping referred to once. */
export interface Drop {
  /** Byte offset within the file. */
  readonly offset: number;
  /** Bytes; every cluster they touch loses one reference. */
  readonly length: number;
  /** Whether the storage is told that the space is not needed. */
  readonly giveBack: boolean;
}

/** References that mappings in memory no longer have but mappings on disk may still have. */
export class Drops {
  readonly #clusterSize: number;
  #list: Drop[] = [];

  constructor(clusterSize: number) {
    this.#clusterSize = clusterSize;
  }

  /** How many there are. */
  get count(): number {
    return this.#list.length;
  }

  /** Notes a reference that the next flush makes obsolete. */
  add(offset: number, length: number, giveBack: boolean): void {
    const last = this.#list.at(-1);
    if (
      last !== undefined &&
      last.giveBack === giveBack &&
      last.offset + last.length === offset &&
      last.offset % this.#clusterSize === 0 &&
      offset % this.#clusterSize === 0
    ) {
      this.#list[this.#list.length - 1] = { ...last, length: last.length + length };
    } else {
      this.#list.push({ offset, length, giveBack });
    }
  }

  /** Takes all of them. */
  take(): Drop[] {
    const taken = this.#list;
    this.#list = [];
    return taken;
  }

  /** Puts back what was taken and did not get done. */
  restore(drops: readonly Drop[]): void {
    this.#list = [...drops, ...this.#list];
  }
}
