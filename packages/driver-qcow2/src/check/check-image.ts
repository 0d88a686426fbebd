import {
  type CheckOptions,
  type CheckResult,
  type Extent,
  type Image,
  LamellaError,
  type OptionValue,
  type References,
  type Storage,
} from '@lamella/core';
import { referencesOf } from '../data-file/description.js';
import { Geometry } from '../geometry.js';
import type { Header } from '../header/header.js';
import { assertBearable } from './bearable.js';
import { checkStorage } from './check.js';

/**
 * Opens an image for a check: what the header says of tables must be bearable, not true.
 *
 * @throws LamellaError `INVALID_HEADER`, `LIMIT_EXCEEDED`
 */
export function openForCheck(storage: Storage, header: Header): CheckImage {
  assertBearable(header, storage.location);
  return new CheckImage(storage, header);
}

/**
 * An image that was opened for a check only: nothing but its header was read, so that damage elsewhere
 * does not stand in the way. Its content can't be had.
 */
export class CheckImage implements Image {
  readonly size: number;
  readonly clusterSize: number;
  readonly references: References;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly encrypted: boolean;
  readonly #storage: Storage;

  constructor(storage: Storage, header: Header) {
    const geometry = new Geometry(header);
    this.#storage = storage;
    this.size = header.size;
    this.clusterSize = geometry.clusterSize;
    this.references = referencesOf(header);
    this.encrypted = header.cryptMethod !== 0;
    this.options = {
      compat: header.version === 3 ? '1.1' : '0.10',
      cluster_size: geometry.clusterSize,
      refcount_bits: geometry.refcountBits,
    };
  }

  /** @throws LamellaError `UNSUPPORTED`, always */
  map(): Extent {
    throw new LamellaError('UNSUPPORTED', 'the image was opened for a check only', {
      location: this.#storage.location,
      hint: 'Open it without forCheck to read its content.',
    });
  }

  check(options: CheckOptions): Promise<CheckResult> {
    return checkStorage(this.#storage, options);
  }

  async close(): Promise<void> {}
}
