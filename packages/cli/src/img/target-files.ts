import { existsSync } from 'node:fs';
import { isLamellaError, StorageRegistry } from 'lamella';
import type { Session } from '../command-line/session.js';
import type { OptionMap } from './format-options.js';

/** The files that a command makes, until they are whole. */
export class TargetFiles {
  readonly #session: Session;
  readonly #locations: readonly string[];

  /**
   * To be called before anything is made.
   *
   * @param location - of the image
   * @param values - its create options: a data file that is there already is not of our making
   */
  constructor(session: Session, location: string, values: OptionMap) {
    this.#session = session;
    const dataFile = values.get('data_file');
    const makesDataFile = typeof dataFile === 'string' && !existsSync(dataFile);
    this.#locations = makesDataFile ? [location, dataFile] : [location];
    for (const one of this.#locations) {
      session.unfinished?.add(pathOf(one));
    }
  }

  /** Removes them if Ctrl-C was pressed: half an image that looks whole is worse than none. */
  async removeIfInterrupted(): Promise<void> {
    if (!this.#session.signal.aborted) {
      return;
    }
    const storages = this.#session.lamella.container.resolve(StorageRegistry);
    for (const location of this.#locations) {
      try {
        const { driver } = storages.resolve(location);
        await driver.remove?.(location);
      } catch (error) {
        // A device can't be removed, and the operation has failed anyway.
        if (!isLamellaError(error)) {
          throw error;
        }
      }
    }
  }

  /** They are whole, or gone, or to be kept as they are. */
  done(): void {
    for (const location of this.#locations) {
      this.#session.unfinished?.delete(pathOf(location));
    }
  }
}

function pathOf(location: string): string {
  return location.startsWith('file:') ? location.slice('file:'.length) : location;
}
