import type { Awaitable, Storage } from '@lamella/core';
import type { Flusher } from './flusher.js';
import { encodeField, FEATURE, FIELD } from './header-fields.js';

/**
 * The mark of an image that is being changed (specification: `QED_F_NEED_CHECK`): durable before the
 * first change of the mapping, gone after a clean close.
 */
export class NeedCheck {
  readonly #storage: Storage;
  readonly #flusher: Flusher;
  /** `features` without the mark. */
  #features: number;
  /** The mark is durable. */
  #set: boolean;
  /** The mark may stand in the file. */
  #written: boolean;
  #setting: Promise<void> | undefined;

  /**
   * @param features - the header's `features`
   */
  constructor(storage: Storage, flusher: Flusher, features: number) {
    this.#storage = storage;
    this.#flusher = flusher;
    this.#features = features & ~FEATURE.needCheck;
    this.#set = (features & FEATURE.needCheck) !== 0;
    this.#written = this.#set;
  }

  /** The header's `features` as they stand in the file, while nothing is changing them. */
  get features(): number {
    return this.#written ? this.#features | FEATURE.needCheck : this.#features;
  }

  /** Takes note that other bits of `features` were written. */
  adopt(features: number): void {
    this.#features = features & ~FEATURE.needCheck;
  }

  /** Whether a clean close has something to clear. */
  get written(): boolean {
    return this.#written;
  }

  /**
   * Sets the mark unless it is set; callers at one time share the attempt.
   *
   * @throws LamellaError as `Storage.write` and `Storage.flush`
   */
  set(): Awaitable<void> {
    if (this.#set) {
      return;
    }
    this.#setting ??= this.#store(this.#features | FEATURE.needCheck)
      .then(() => {
        this.#set = true;
      })
      .finally(() => {
        this.#setting = undefined;
      });
    return this.#setting;
  }

  /**
   * Clears the mark durably. Everything else has to be durable already.
   *
   * @throws LamellaError as `Storage.write` and `Storage.flush`
   */
  async clear(): Promise<void> {
    this.#set = false;
    await this.#store(this.#features);
    this.#written = false;
  }

  async #store(features: number): Promise<void> {
    this.#written = true;
    await this.#storage.write(encodeField(features), FIELD.features);
    await this.#flusher.sync();
  }
}
