import {
  type Allocation,
  type Awaitable,
  type DataCipher,
  type Extent,
  type ImageDetails,
  isPromise,
  LamellaError,
  type OptionValue,
  type Placement,
  type RangeCipher,
  type Storage,
} from '@lamella/core';
import { amendKeys } from './luks/amend.js';
import { luksDetails } from './luks/details.js';
import type { LuksVolume } from './luks/luks-volume.js';

/** Bytes ciphered at once. */
const PIECE = 1024 * 1024;

/** What an {@link ImageEncryption} is made of. */
export interface EncryptionParts {
  /** The image, for messages. */
  readonly location: string;
  /** None for an image that was opened without its passphrase, to look at its metadata. */
  readonly cipher: DataCipher | undefined;
  /** Whether sectors are numbered by their place in the file (LUKS) or on the guest's disk (aes). */
  readonly numbering: 'host' | 'guest';
  readonly luks: LuksVolume | undefined;
  /** The master key, for adding keys; overwritten on close. */
  readonly key: Uint8Array | undefined;
}

/** The error of whoever needs data of an image that is locked. */
export function passphraseRequired(location: string): LamellaError {
  return new LamellaError('PASSPHRASE_REQUIRED', 'the image is encrypted', {
    location,
    hint: 'Open it with its passphrase.',
  });
}

/** The encryption of an open image: puts the cipher to what the mapping answers. */
export class ImageEncryption {
  readonly #parts: EncryptionParts;

  constructor(parts: EncryptionParts) {
    this.#parts = parts;
  }

  /** The image's properties under the names of create options. */
  get options(): Readonly<Record<string, OptionValue>> {
    const { luks } = this.#parts;
    if (luks === undefined) {
      return { encrypted: true, 'encrypt.format': 'aes' };
    }
    const { spec, hash, uuid, slots } = luks.header;
    return {
      encrypted: true,
      'encrypt.format': 'luks',
      'encrypt.cipher-alg': spec.cipher,
      'encrypt.cipher-mode': spec.mode,
      'encrypt.ivgen-alg': spec.ivGenerator,
      ...(spec.ivHash === undefined ? {} : { 'encrypt.ivgen-hash-alg': spec.ivHash }),
      'encrypt.hash-alg': hash,
      'encrypt.uuid': uuid,
      'encrypt.slots': slots.flatMap(({ active }, index) => (active ? [index] : [])).join(','),
    };
  }

  /** What `qemu-img info` tells of it. */
  get details(): ImageDetails {
    const { luks } = this.#parts;
    return luks === undefined ? { format: 'aes' } : luksDetails(luks.header);
  }

  /**
   * Marks stored bytes as ciphered. Compressed clusters are not: QEMU neither enciphers nor deciphers them.
   *
   * @param offset - guest offset that was asked for
   */
  map(extent: Awaitable<Extent>, offset: number): Awaitable<Extent> {
    if (isPromise(extent)) {
      return extent.then((answer) => this.map(answer, offset));
    }
    return extent.kind === 'data'
      ? { ...extent, cipher: this.#range(extent.offset, offset) }
      : extent;
  }

  /**
   * Marks what is to be written as ciphered.
   *
   * @param offset - guest offset that was asked for
   */
  place(placement: Awaitable<Placement>, offset: number): Awaitable<Placement> {
    if (isPromise(placement)) {
      return placement.then((answer) => this.place(answer, offset));
    }
    const cipher = this.#range(placement.offset, offset);
    return placement.kind === 'in-place'
      ? { ...placement, cipher }
      : new CipheredAllocation(placement, cipher);
  }

  /**
   * Writes zeroes, ciphered.
   *
   * @param host - byte offset within the storage
   * @param guest - byte offset on the disk
   * @param length - bytes, whole sectors
   * @throws LamellaError as `Storage.write`
   */
  async writeZeroes(storage: Storage, host: number, guest: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += PIECE) {
      const piece = new Uint8Array(Math.min(PIECE, length - done));
      const { cipher, position } = this.#range(host + done, guest + done);
      await cipher.encrypt(piece, position);
      await storage.write(piece, host + done);
    }
  }

  /**
   * Adds or erases keys; see `AMEND_KEY_OPTIONS`.
   *
   * @throws LamellaError as `amendKeys`, and `UNSUPPORTED` for the method aes
   */
  async amend(values: Readonly<Record<string, OptionValue>>, storage: Storage): Promise<void> {
    const { luks, key } = this.#parts;
    if (luks === undefined) {
      throw new LamellaError('UNSUPPORTED', 'the key of an image with method aes is fixed', {
        location: storage.location,
        hint: "Convert the image to one with encrypt.format 'luks'.",
      });
    }
    await amendKeys(luks, values, key, storage.location);
  }

  /** Overwrites the master key. */
  close(): void {
    this.#parts.key?.fill(0);
  }

  #range(host: number, guest: number): RangeCipher {
    const { cipher, numbering, location } = this.#parts;
    return {
      cipher: cipher ?? new LockedCipher(location),
      position: numbering === 'host' ? host : guest,
    };
  }
}

/** The cipher of an image that is locked: where bytes are can be told, not what they are. */
class LockedCipher implements DataCipher {
  readonly #location: string;

  constructor(location: string) {
    this.#location = location;
  }

  decrypt(): never {
    throw passphraseRequired(this.#location);
  }

  encrypt(): never {
    throw passphraseRequired(this.#location);
  }
}

/** An allocation whose data are to be ciphered. */
class CipheredAllocation implements Allocation {
  readonly kind = 'allocation';
  /** Space of zeroes does not decipher to zeroes. */
  readonly fresh = false;
  readonly #inner: Allocation;

  constructor(
    inner: Allocation,
    readonly cipher: RangeCipher,
  ) {
    this.#inner = inner;
  }

  get length(): number {
    return this.#inner.length;
  }

  get storage(): Storage {
    return this.#inner.storage;
  }

  get offset(): number {
    return this.#inner.offset;
  }

  get copyBefore(): number {
    return this.#inner.copyBefore;
  }

  get copyAfter(): number {
    return this.#inner.copyAfter;
  }

  commit(): Awaitable<void> {
    return this.#inner.commit();
  }

  abort(): void {
    this.#inner.abort();
  }
}
