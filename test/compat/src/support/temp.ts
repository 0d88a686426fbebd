import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { directory } from '@lamella/test-support';
import type { Test } from 'tap';

/** A folder of temporary files, removed when the test ends. */
export class Temp {
  readonly path: string;
  #files = 0;

  constructor(t: Test) {
    this.path = directory(t);
  }

  /** Path of a file in the folder. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** Path of a file that is not there yet. */
  fresh(extension: string): string {
    this.#files += 1;
    return this.file(`file-${this.#files}.${extension}`);
  }

  /** Removes files early, where many are made one after the other. */
  remove(...paths: readonly string[]): void {
    for (const path of paths) {
      rmSync(path, { force: true });
    }
  }
}
