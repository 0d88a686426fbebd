import { type Awaitable, alignUp, viewOf, writeUint64 } from '@lamella/core';

/** Fixed bytes of an entry of the snapshot table (specification: "Snapshots"). */
export const FIXED_LENGTH = 40;
/** Extra data that version 3 demands: size of the VM state and of the disk. */
export const REQUIRED_EXTRA = 16;
/** Most bytes of extra data that QEMU takes. */
export const MAX_EXTRA = 1024;
/** Largest snapshot table in bytes, as in QEMU. */
export const MAX_TABLE = 64 * 1024 * 1024;

/** Byte positions of an entry's fields; those of the extra data count from its start. */
export const ENTRY_FIELD = {
  l1Offset: 0,
  l1Size: 8,
  idLength: 12,
  nameLength: 14,
  dateSeconds: 16,
  dateNanoseconds: 20,
  vmClock: 24,
  vmStateSize: 32,
  extraLength: 36,
} as const;

/** Byte positions within the extra data. */
export const EXTRA_FIELD = { vmStateSize: 0, diskSize: 8, icount: 16 } as const;

/** An entry of the snapshot table as it is stored. */
export interface StoredEntry {
  readonly fixed: Uint8Array;
  /** At most {@link MAX_EXTRA} bytes of the extra data. */
  readonly extra: Uint8Array;
  readonly id: Uint8Array;
  readonly name: Uint8Array;
  /** Bytes of extra data that the entry says it has. */
  readonly extraLength: number;
  /** Bytes that the entry takes in the table, without the padding behind it. */
  readonly length: number;
}

/** Bytes are read in pieces of at least this many. */
const CHUNK = 64 * 1024;

/** Reads entries of a snapshot table, one behind the other, whatever they say. */
export class EntryReader {
  readonly #read: (buffer: Uint8Array, offset: number) => Awaitable<void>;
  #buffer = new Uint8Array(0);
  #bufferAt = 0;
  #at: number;

  /**
   * @param read - fills a buffer from a byte offset of the file on; with zeroes behind its end
   * @param start - byte offset of the first entry
   */
  constructor(read: (buffer: Uint8Array, offset: number) => Awaitable<void>, start: number) {
    this.#read = read;
    this.#at = start;
  }

  /** Byte offset of the next entry. */
  get position(): number {
    return this.#at;
  }

  /** Reads the next entry: at most 130 KiB and what it says of extra data is passed over. */
  async next(): Promise<StoredEntry> {
    const at = this.#at;
    const fixed = this.#known(at, FIXED_LENGTH) ?? (await this.#fill(at, FIXED_LENGTH));
    const view = viewOf(fixed);
    const extraLength = view.getUint32(ENTRY_FIELD.extraLength);
    const idLength = view.getUint16(ENTRY_FIELD.idLength);
    const nameLength = view.getUint16(ENTRY_FIELD.nameLength);
    const extraAt = at + FIXED_LENGTH;
    const kept = Math.min(extraLength, MAX_EXTRA);
    const extra = this.#known(extraAt, kept) ?? (await this.#fill(extraAt, kept));
    const namesAt = extraAt + extraLength;
    const names =
      this.#known(namesAt, idLength + nameLength) ??
      (await this.#fill(namesAt, idLength + nameLength));
    const length = FIXED_LENGTH + extraLength + names.length;
    this.#at = at + alignUp(length, 8);
    return {
      fixed,
      extra,
      id: names.subarray(0, idLength),
      name: names.subarray(idLength),
      extraLength,
      length,
    };
  }

  /** Bytes that were read already. */
  #known(at: number, length: number): Uint8Array | undefined {
    const from = at - this.#bufferAt;
    return from >= 0 && from + length <= this.#buffer.length
      ? this.#buffer.slice(from, from + length)
      : undefined;
  }

  async #fill(at: number, length: number): Promise<Uint8Array> {
    this.#buffer = new Uint8Array(Math.max(CHUNK, length));
    this.#bufferAt = at;
    await this.#read(this.#buffer, at);
    return this.#buffer.slice(0, length);
  }
}

/** Where an entry says that its L1 table is, in bytes, and of how many entries; none of it is checked. */
export function l1Of({ fixed }: StoredEntry): {
  readonly l1Offset: number;
  readonly l1Size: number;
} {
  const view = viewOf(fixed);
  return {
    l1Offset: unchecked64(view, ENTRY_FIELD.l1Offset),
    l1Size: view.getUint32(ENTRY_FIELD.l1Size),
  };
}

/**
 * What an entry says of sizes, in bytes; neither is checked.
 *
 * @returns `diskSize` is undefined where the entry does not say
 */
export function sizesOf({ fixed, extra }: StoredEntry): {
  readonly vmStateSize: number;
  readonly diskSize: number | undefined;
} {
  const view = viewOf(extra);
  return {
    vmStateSize:
      extra.length < EXTRA_FIELD.diskSize
        ? viewOf(fixed).getUint32(ENTRY_FIELD.vmStateSize)
        : unchecked64(view, EXTRA_FIELD.vmStateSize),
    diskSize: extra.length < REQUIRED_EXTRA ? undefined : unchecked64(view, EXTRA_FIELD.diskSize),
  };
}

/** May be beyond what a number can say exactly: for comparisons only. */
function unchecked64(view: DataView, position: number): number {
  return view.getUint32(position) * 0x1_0000_0000 + view.getUint32(position + 4);
}

/**
 * The extra data of an entry with what version 3 demands.
 *
 * @param diskSize - bytes, for an entry that does not say: such a snapshot is as large as the disk is now
 */
export function completeExtra(entry: StoredEntry, diskSize: number): Uint8Array {
  const { extra } = entry;
  if (extra.length >= REQUIRED_EXTRA) {
    return extra;
  }
  const complete = new Uint8Array(REQUIRED_EXTRA);
  const view = viewOf(complete);
  complete.set(extra.subarray(0, EXTRA_FIELD.diskSize));
  if (extra.length < EXTRA_FIELD.diskSize) {
    const vmStateSize = viewOf(entry.fixed).getUint32(ENTRY_FIELD.vmStateSize);
    writeUint64(view, EXTRA_FIELD.vmStateSize, vmStateSize, 'big');
  }
  writeUint64(view, EXTRA_FIELD.diskSize, diskSize, 'big');
  return complete;
}

/** An entry as it goes into the table: its lengths set, padded to 8 bytes. */
export function serialiseEntry(
  entry: Pick<StoredEntry, 'fixed' | 'extra' | 'id' | 'name'>,
): Uint8Array {
  const { fixed, extra, id, name } = entry;
  const bytes = new Uint8Array(alignUp(FIXED_LENGTH + extra.length + id.length + name.length, 8));
  bytes.set(fixed);
  bytes.set(extra, FIXED_LENGTH);
  bytes.set(id, FIXED_LENGTH + extra.length);
  bytes.set(name, FIXED_LENGTH + extra.length + id.length);
  const view = viewOf(bytes);
  view.setUint16(ENTRY_FIELD.idLength, id.length);
  view.setUint16(ENTRY_FIELD.nameLength, name.length);
  view.setUint32(ENTRY_FIELD.extraLength, extra.length);
  return bytes;
}
