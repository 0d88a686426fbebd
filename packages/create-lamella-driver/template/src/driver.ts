import type { BlockDriver, OpenOptions, Storage } from '@lamella/core';
import { hasMagic, readLayout } from './header.js';
import { __CLASS__Image } from './image.js';

/**
 * The __FORMAT__ format, for reading. Register it with `lamella.register(__CLASS__Driver)`; see {@link BlockDriver}
 * for what else a driver may do.
 */
export class __CLASS__Driver implements BlockDriver {
  readonly format = '__FORMAT__';
  /** The driver interfaces that this was written for: a Lamella that has others says so instead of failing. */
  readonly apiVersion = 1;
  readonly supportsBacking = false;

  probe(head: Uint8Array): number {
    return hasMagic(head) ? 100 : 0;
  }

  /**
   * Opens an image. Everything that is read is checked first.
   *
   * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `LIMIT_EXCEEDED`, `CORRUPT`
   */
  async open(storage: Storage, _options: OpenOptions): Promise<__CLASS__Image> {
    return new __CLASS__Image(storage, await readLayout(storage));
  }
}
