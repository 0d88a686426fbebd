import { readUint64, type Storage, viewOf } from '@lamella/core';

/** What walking an image's raw bytes found. */
export interface Verdict {
  readonly corruptions: string[];
  /** Clusters with more references counted than there are. */
  readonly leaks: number;
}

/**
 * Walks all structures of an image independently of the driver and compares refcounts with references,
 * COPIED flags with refcounts.
 */
export async function verify(storage: Storage): Promise<Verdict> {
  const bytes = new Uint8Array(storage.size);
  await storage.read(bytes, 0);
  return new Verifier(bytes).run();
}

class Verifier {
  readonly #view: DataView;
  readonly #bits: number;
  readonly #clusterSize: number;
  readonly #extended: boolean;
  readonly #external: boolean;
  readonly #refcountBits: number;
  readonly #references = new Map<number, number>();
  readonly #corruptions: string[] = [];

  constructor(bytes: Uint8Array) {
    this.#view = viewOf(bytes);
    this.#bits = this.#view.getUint32(20);
    this.#clusterSize = 2 ** this.#bits;
    const version = this.#view.getUint32(4);
    this.#extended = version === 3 && (this.#view.getUint32(76) & 16) !== 0;
    this.#external = version === 3 && (this.#view.getUint32(76) & 4) !== 0;
    this.#refcountBits = version === 3 ? 2 ** this.#view.getUint32(96) : 16;
  }

  run(): Verdict {
    this.#refer(0, 1, 'header');
    const tableOffset = this.#field(48);
    const tableLength = this.#view.getUint32(56) * this.#clusterSize;
    this.#refer(tableOffset, tableLength, 'refcount table');
    for (let at = 0; at < tableLength; at += 8) {
      const block = this.#field(tableOffset + at);
      if (block !== 0) {
        this.#refer(block, this.#clusterSize, 'refcount block');
      }
    }
    this.#l1(this.#field(40), this.#view.getUint32(36), true);
    this.#snapshots();
    this.#bitmaps();
    return { corruptions: this.#corruptions, leaks: this.#compare() };
  }

  #field(at: number): number {
    return at + 8 > this.#view.byteLength
      ? 0
      : readUint64(this.#view, at, 'big', { name: 'field', location: 'verifier' });
  }

  /** A pointer with its flag bits: offset, bit 63, bit 62, bit 0. */
  #entry(at: number) {
    const high = at + 8 > this.#view.byteLength ? 0 : this.#view.getUint32(at);
    const low = at + 8 > this.#view.byteLength ? 0 : this.#view.getUint32(at + 4);
    return {
      high,
      low,
      copied: high >>> 31 === 1,
      compressed: ((high >>> 30) & 1) === 1,
      offset: (high & 0xffffff) * 2 ** 32 + ((low & 0xfffffe00) >>> 0),
    };
  }

  #refer(offset: number, length: number, what: string): void {
    if (length > 1 && offset % this.#clusterSize !== 0 && what !== 'compressed') {
      this.#corruptions.push(`${what} at ${offset} is not aligned`);
    }
    const first = Math.floor(offset / this.#clusterSize);
    const last = Math.floor((offset + length - 1) / this.#clusterSize);
    for (let cluster = first; cluster <= last; cluster += 1) {
      this.#references.set(cluster, (this.#references.get(cluster) ?? 0) + 1);
    }
  }

  #l1(offset: number, length: number, active: boolean): void {
    if (length > 0) {
      this.#refer(offset, length * 8, 'L1 table');
    }
    for (let index = 0; index < length; index += 1) {
      const entry = this.#entry(offset + index * 8);
      if (entry.offset !== 0) {
        this.#refer(entry.offset, this.#clusterSize, 'L2 table');
        this.#assertCopied(entry, active, 'L1');
        const entries = this.#clusterSize / (this.#extended ? 16 : 8);
        this.#l2(entry.offset, active, index * entries * this.#clusterSize);
      }
    }
  }

  #l2(table: number, active: boolean, guest: number): void {
    const size = this.#extended ? 16 : 8;
    for (let at = table; at < table + this.#clusterSize; at += size) {
      const entry = this.#entry(at);
      if (this.#external) {
        this.#externalEntry(entry, guest + ((at - table) / size) * this.#clusterSize);
      } else if (entry.compressed) {
        const offsetBits = 70 - this.#bits - 32;
        const host = (entry.high & (2 ** offsetBits - 1)) * 2 ** 32 + entry.low;
        const sectors = (entry.high & 0x3fffffff) >>> offsetBits;
        this.#refer(host, (sectors + 1) * 512 - (host % 512), 'compressed');
      } else if (entry.offset !== 0) {
        this.#refer(entry.offset, this.#clusterSize, 'data');
        this.#assertCopied(entry, active, 'L2');
        if (entry.offset >= this.#view.byteLength && (entry.low & 1) === 0 && !this.#extended) {
          this.#corruptions.push(`data at ${entry.offset} is behind the end`);
        }
      }
    }
  }

  /** Clusters of a data file are where the guest sees them, and nobody counts them. */
  #externalEntry(entry: { offset: number; copied: boolean; compressed: boolean }, guest: number) {
    if (entry.compressed) {
      this.#corruptions.push(`compressed cluster ${guest} in an image with a data file`);
    } else if (entry.offset !== (entry.copied ? guest : 0)) {
      this.#corruptions.push(`cluster ${guest} points to ${entry.offset} of the data file`);
    }
  }

  #assertCopied(entry: { copied: boolean; offset: number }, active: boolean, what: string): void {
    const refcount = this.#refcount(entry.offset / this.#clusterSize);
    if (active && entry.copied !== (refcount === 1)) {
      this.#corruptions.push(`${what} COPIED flag of ${entry.offset} with refcount ${refcount}`);
    }
  }

  #snapshots(): void {
    const count = this.#view.getUint32(60);
    const start = this.#field(64);
    let at = start;
    for (let i = 0; i < count; i += 1) {
      this.#l1(this.#field(at), this.#view.getUint32(at + 8), false);
      const variable = this.#view.getUint16(at + 12) + this.#view.getUint16(at + 14);
      at += Math.ceil((40 + this.#view.getUint32(at + 36) + variable) / 8) * 8;
    }
    if (count > 0) {
      this.#refer(start, at - start, 'snapshot table');
    }
  }

  #bitmaps(): void {
    if (this.#view.getUint32(4) < 3 || (this.#view.getUint32(92) & 1) === 0) {
      return;
    }
    let at = this.#view.getUint32(100);
    while (this.#view.getUint32(at) !== 0 && this.#view.getUint32(at) !== 0x23852875) {
      at += 8 + Math.ceil(this.#view.getUint32(at + 4) / 8) * 8;
    }
    if (this.#view.getUint32(at) === 0) {
      return;
    }
    const directory = this.#field(at + 24);
    const end = directory + this.#field(at + 16);
    this.#refer(directory, end - directory, 'bitmap directory');
    for (let entry = directory; entry < end; ) {
      const [table, length] = [this.#field(entry), this.#view.getUint32(entry + 8)];
      this.#refer(table, length * 8, 'bitmap table');
      for (let index = 0; index < length; index += 1) {
        const { offset } = this.#entry(table + index * 8);
        if (offset !== 0) {
          this.#refer(offset, this.#clusterSize, 'bitmap data');
        }
      }
      entry += Math.ceil((24 + this.#view.getUint16(entry + 18)) / 8) * 8;
    }
  }

  #refcount(cluster: number): number {
    const perBlock = (this.#clusterSize * 8) / this.#refcountBits;
    const index = Math.floor(cluster / perBlock);
    if (index * 8 >= this.#view.getUint32(56) * this.#clusterSize) {
      return 0;
    }
    const block = this.#field(this.#field(48) === 0 ? 0 : this.#field(48) + index * 8);
    const bit = (cluster % perBlock) * this.#refcountBits;
    const at = block + Math.floor(bit / 8);
    if (block === 0 || at + 8 > this.#view.byteLength) {
      return 0;
    }
    if (this.#refcountBits < 8) {
      return (this.#view.getUint8(at) >>> (bit % 8)) & (2 ** this.#refcountBits - 1);
    }
    let value = 0;
    for (let i = 0; i < this.#refcountBits / 8; i += 1) {
      value = value * 256 + this.#view.getUint8(at + i);
    }
    return value;
  }

  #compare(): number {
    let leaks = 0;
    const clusters = Math.ceil(this.#view.byteLength / this.#clusterSize);
    for (const cluster of new Set([...this.#references.keys(), ...Array(clusters).keys()])) {
      const referred = this.#references.get(cluster) ?? 0;
      const counted = this.#refcount(cluster);
      if (counted < referred) {
        this.#corruptions.push(`cluster ${cluster}: refcount ${counted}, references ${referred}`);
      }
      leaks += counted > referred ? 1 : 0;
    }
    return leaks;
  }
}
