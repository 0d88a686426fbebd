/** Upper half of the COPIED flag as a factor of 64-bit values. */
export const COPIED = 1n << 63n;
export const COMPRESSED = 1n << 62n;

/** An image file in memory whose fields can be damaged one by one. Offsets are bytes. */
export class Editable {
  bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = Buffer.from(bytes);
  }

  get clusterSize(): number {
    return 1 << this.u32(20);
  }

  /** End of the file, rounded up to clusters. */
  get end(): number {
    return Math.ceil(this.bytes.length / this.clusterSize) * this.clusterSize;
  }

  get l1(): number {
    return Number(this.u64(40));
  }

  get refcountTable(): number {
    return Number(this.u64(48));
  }

  get snapshotTable(): number {
    return Number(this.u64(64));
  }

  /** Offset of the L2 table that an L1 entry names. */
  l2(index = 0): number {
    return pointer(this.u64(this.l1 + index * 8));
  }

  /** Offset of an L2 entry. */
  l2Entry(index: number, l1Index = 0, entrySize = 8): number {
    return this.l2(l1Index) + index * entrySize;
  }

  /** Host offset in an L2 entry. */
  host(index: number, l1Index = 0, entrySize = 8): number {
    return pointer(this.u64(this.l2Entry(index, l1Index, entrySize)));
  }

  /** Offset of a refcount block. */
  block(index = 0): number {
    return Number(this.u64(this.refcountTable + index * 8));
  }

  /** Sets the refcount of the cluster at an offset; widths of 8 bits and more. */
  refcount(offset: number, value: number, bits = 16): void {
    const perBlock = (this.clusterSize * 8) / bits;
    const cluster = offset / this.clusterSize;
    const at = this.block(Math.floor(cluster / perBlock)) + (cluster % perBlock) * (bits / 8);
    this.bytes.writeUIntBE(value, at + Math.max(0, bits / 8 - 6), Math.min(6, bits / 8));
  }

  u16(at: number): number {
    return this.bytes.readUInt16BE(at);
  }

  u32(at: number): number {
    return this.bytes.readUInt32BE(at);
  }

  u64(at: number): bigint {
    return this.bytes.readBigUInt64BE(at);
  }

  set8(at: number, value: number): void {
    this.bytes.writeUInt8(value, at);
  }

  set16(at: number, value: number): void {
    this.bytes.writeUInt16BE(value, at);
  }

  set32(at: number, value: number): void {
    this.bytes.writeUInt32BE(value >>> 0, at);
  }

  set64(at: number, value: bigint | number): void {
    this.bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), at);
  }

  /** Lengthens the file with zeroes, or shortens it. */
  resize(length: number): void {
    const bytes = Buffer.alloc(length);
    this.bytes.copy(bytes);
    this.bytes = bytes;
  }

  /** Offset of a header extension's data. */
  extension(type: number): number {
    for (let at = this.u32(4) === 2 ? 72 : this.u32(100); this.u32(at) !== 0; ) {
      if (this.u32(at) === type) {
        return at + 8;
      }
      at += 8 + Math.ceil(this.u32(at + 4) / 8) * 8;
    }
    throw new Error(`no header extension ${type.toString(16)}`);
  }
}

function pointer(entry: bigint): number {
  return Number(entry & 0x00ff_ffff_ffff_fe00n);
}
