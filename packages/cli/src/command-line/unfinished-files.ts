import { rmSync, statSync } from 'node:fs';

/**
 * Files that are being made. A program that is ended in the middle removes them at the last moment: half an
 * image that looks whole is worse than none.
 */
export class UnfinishedFiles {
  readonly #paths = new Set<string>();

  /** The file is being made from now on. */
  add(path: string): void {
    this.#paths.add(path);
  }

  /** The file is whole, or gone. */
  delete(path: string): void {
    this.#paths.delete(path);
  }

  /** Removes them all, without waiting for anything. Devices are left alone. */
  removeNow(): void {
    for (const path of this.#paths) {
      try {
        if (statSync(path).isFile()) {
          rmSync(path);
        }
      } catch {
        // It is not there, or can't be removed: the program ends in any case.
      }
    }
    this.#paths.clear();
  }
}
