import type { BlockDriver, Extent, Image, OptionValue, References, Storage } from 'lamella';
import { injectable } from 'tsyringe';

const MAGIC = 'TOYDISK1';

/** A file of the third-party format: magic, then the disk. */
export function toyFile(content: Uint8Array): Uint8Array {
  const file = new Uint8Array(512 + content.length);
  file.set(new TextEncoder().encode(MAGIC));
  file.set(content, 512);
  return file;
}

class ToyImage implements Image {
  readonly clusterSize = 1;
  readonly references: References = {};
  readonly options: Readonly<Record<string, OptionValue>> = { flavour: 'plain' };
  readonly size: number;
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
    this.size = storage.size - 512;
  }

  map(offset: number, length: number): Extent {
    return { kind: 'data', length, storage: this.#storage, offset: offset + 512 };
  }

  async close(): Promise<void> {}
}

/** A read-only format with a magic of its own, as a third party would write it: `format`, `probe`, `open`. */
@injectable()
export class ToyDriver implements BlockDriver {
  readonly format: string = 'toy';

  probe(head: Uint8Array): number {
    return new TextDecoder().decode(head.subarray(0, MAGIC.length)) === MAGIC ? 100 : 0;
  }

  async open(storage: Storage): Promise<Image> {
    return new ToyImage(storage);
  }
}

/** Same magic under another name, and surer of it. */
@injectable()
export class OtherToyDriver extends ToyDriver {
  override readonly format = 'other-toy';
}

/** A driver that fails whenever it is asked. */
@injectable()
export class ThrowingDriver implements BlockDriver {
  readonly format = 'throwing';

  probe(): number {
    throw new TypeError('the probe is broken');
  }

  async open(): Promise<Image> {
    throw new Error('never opened');
  }
}

/** A driver whose `create` fails after the file was made. */
@injectable()
export class HalfwayDriver extends ToyDriver {
  override readonly format = 'halfway';

  async create(storage: Storage): Promise<void> {
    await storage.write(new Uint8Array(4096).fill(1), 0);
    throw new RangeError('failed half way');
  }
}
