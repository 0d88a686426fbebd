import { type BlockDriver, type OpenOptions, parseOptions, type Storage } from '@lamella/core';
import { BlockMap } from './block-map.js';
import { hasSignature, readHeader } from './header.js';
import { VdiImage } from './vdi-image.js';

/** VirtualBox disk images, for reading. Register it with `lamella.register(VdiDriver)`. */
export class VdiDriver implements BlockDriver {
  readonly format = 'vdi';
  readonly supportsBacking = false;

  probe(head: Uint8Array): number {
    return hasSignature(head) ? 100 : 0;
  }

  /**
   * Opens an image. The header is checked as a whole, the block map entry by entry when it is asked for.
   *
   * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`,
   * `INVALID_ARGUMENT` for any open option
   */
  async open(storage: Storage, { options, cacheSize }: OpenOptions): Promise<VdiImage> {
    parseOptions({}, options ?? {}, 'opening a VDI image');
    const header = await readHeader(storage);
    return new VdiImage(storage, header, new BlockMap(storage, header, cacheSize));
  }
}
