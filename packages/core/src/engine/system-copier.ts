import { alignDown } from '../bytes/index.js';
import type { Image, Placement } from '../driver/index.js';
import { copyBytes, type Storage } from '../storage/index.js';
import { checkedLength } from './contract.js';
import { guestOf } from './guest.js';
import type { EngineLayer } from './layers.js';
import type { Writer } from './writer.js';

/** Guest bytes as they are stored. */
export interface HostRange {
  readonly storage: Storage;
  /** First byte in the storage. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** What was copied. */
export interface Copied {
  /** Bytes from the beginning of the range on. */
  readonly length: number;
  /** Whether the system copied something; if not, there is no use in asking it again for these two disks. */
  readonly bySystem: boolean;
}

/** Nothing was copied, and the system was not asked. */
export const NOTHING_COPIED: Copied = { length: 0, bySystem: false };

/** Has storages copy guest bytes among themselves into the top image, without moving them through this process. */
export class SystemCopier {
  readonly #image: Image;
  readonly #writer: Writer;

  /** @param writer - for its order among all changes */
  constructor(top: EngineLayer, writer: Writer) {
    this.#image = top.image;
    this.#writer = writer;
  }

  /**
   * Copies a prefix of a range: up to where the image can't do it without looking at the bytes.
   *
   * @param offset - guest offset of the first byte
   */
  async copy(source: HostRange, offset: number): Promise<Copied> {
    const { clusterSize, subclusterSize: unit = clusterSize } = this.#image;
    // Room for parts of clusters is not asked for: to be given back, it would leave a gap in the file.
    const whole = offset % unit === 0 ? alignDown(source.length, unit) : 0;
    let length = 0;
    let bySystem = false;
    await this.#writer.exclusively(offset, source.length, async () => {
      for (let last = 1; last > 0 && length < whole; length += last) {
        const part = await this.#copyPart(source, length, offset + length, whole - length);
        last = part.length;
        bySystem ||= part.bySystem;
      }
    });
    return { length, bySystem };
  }

  async #copyPart(source: HostRange, skip: number, offset: number, asked: number): Promise<Copied> {
    const placement = await this.#image.place?.(offset, asked);
    if (placement === undefined) {
      return NOTHING_COPIED;
    }
    try {
      const length = checkedLength(placement.length, asked, placement.storage);
      if (!isWhole(placement)) {
        abort(placement);
        return NOTHING_COPIED;
      }
      const storage = guestOf(placement.storage);
      const from = source.offset + skip;
      const copied =
        (await storage.copyFrom?.(source.storage, from, placement.offset, length)) ?? 0;
      // What is allocated is filled whatever the system does: giving it back would leave a gap in the image.
      const [rest, to] = [from + copied, placement.offset + copied];
      await copyBytes(source.storage, rest, storage, to, length - copied);
      if (placement.kind === 'allocation') {
        await placement.commit();
      }
      return { length, bySystem: copied > 0 };
    } catch (error) {
      abort(placement);
      throw error;
    }
  }
}

function abort(placement: Placement): void {
  if (placement.kind === 'allocation') {
    placement.abort();
  }
}

/** Whether nothing but the copied bytes has to be written, and those as they are. */
function isWhole(placement: Placement): boolean {
  return (
    placement.cipher === undefined &&
    (placement.kind === 'in-place' || (placement.copyBefore === 0 && placement.copyAfter === 0))
  );
}
