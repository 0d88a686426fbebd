import { CACHE_MODES, type CacheMode } from 'lamella';
import { Failure } from '../command-line/failure.js';
import type { OpenRequest } from './opened-image.js';

const DISCARD_MODES = ['ignore', 'off', 'unmap', 'on'];
const AIO_MODES = ['threads', 'native', 'io_uring'];

/** How an image is to be opened, by the letters that the program and its command `open` share. */
export class OpenSettings {
  #writable = true;
  #snapshot = false;
  #copyOnRead = false;
  #forceShare = false;
  #discards = true;
  #aio = 'threads';
  #cache: CacheMode = 'writethrough';

  /**
   * Takes one option in.
   *
   * @throws Failure
   */
  take(letter: string, value: string): void {
    switch (letter) {
      case 'r':
        this.#writable = false;
        break;
      case 's':
        this.#snapshot = true;
        break;
      case 'C':
        this.#copyOnRead = true;
        break;
      case 'U':
        this.#forceShare = true;
        break;
      case 'n':
        this.#cache = 'none';
        break;
      case 't':
        this.#cache = oneOf(CACHE_MODES, value, 'cache');
        break;
      case 'd':
        this.#discards = DISCARD_MODES.indexOf(oneOf(DISCARD_MODES, value, 'discard')) >= 2;
        break;
      case 'k':
        this.#aio = 'native';
        break;
      case 'i':
        this.#aio = oneOf(AIO_MODES, value, 'aio');
        break;
    }
  }

  /** What to open. */
  request(name: Pick<OpenRequest, 'path' | 'format' | 'options'>): OpenRequest {
    return {
      ...name,
      writable: this.#writable,
      snapshot: this.#snapshot,
      copyOnRead: this.#copyOnRead,
      forceShare: this.#forceShare,
      discards: this.#discards,
      nativeAio: this.#aio === 'native',
      cache: this.#cache,
    };
  }
}

function oneOf<T extends string>(modes: readonly T[], value: string, what: string): T {
  const mode = modes.find((candidate) => candidate === value);
  if (mode === undefined) {
    throw new Failure(`Invalid ${what} option: ${value}`);
  }
  return mode;
}
