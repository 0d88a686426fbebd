import { type CryptoPlatform, LamellaError, type Storage } from '@lamella/core';
import { keyLength } from '../cipher/cipher-spec.js';
import { type SectorCipher, sectorCipher } from '../cipher/sector-cipher.js';
import type { LuksPointer } from '../pointer.js';
import { emptySlot } from './create.js';
import { openSlot, sealSlot } from './key-slots.js';
import { type KeySlot, keyMaterialLength, LUKS_HEADER_LENGTH, type LuksHeader } from './layout.js';
import { parseLuksHeader } from './parse.js';
import { serialiseLuksHeader } from './serialise.js';

/** The LUKS header of an image: finds its master key, and changes the keys that open it. */
export class LuksVolume {
  readonly #crypto: CryptoPlatform;
  readonly #storage: Storage;
  readonly #offset: number;
  #header: LuksHeader;

  private constructor(
    crypto: CryptoPlatform,
    storage: Storage,
    offset: number,
    header: LuksHeader,
  ) {
    this.#crypto = crypto;
    this.#storage = storage;
    this.#offset = offset;
    this.#header = header;
  }

  /**
   * Reads and checks a header.
   *
   * @param maxIterations - most iterations of key derivation to do for it
   * @throws LamellaError `INVALID_HEADER`, `TRUNCATED`, `UNSUPPORTED`, `LIMIT_EXCEEDED`, `IO_ERROR`
   */
  static async open(
    crypto: CryptoPlatform,
    storage: Storage,
    pointer: LuksPointer,
    maxIterations: number,
  ): Promise<LuksVolume> {
    const bytes = new Uint8Array(LUKS_HEADER_LENGTH);
    await storage.read(bytes, pointer.offset);
    const { location } = storage;
    const header = parseLuksHeader(bytes, { ...pointer, location, maxIterations });
    return new LuksVolume(crypto, storage, pointer.offset, header);
  }

  /** The header as it is now. */
  get header(): LuksHeader {
    return this.#header;
  }

  /**
   * Finds the master key by trying each active slot.
   *
   * @returns the key, which the caller overwrites after use, and the slot that gave it
   * @throws LamellaError `WRONG_PASSPHRASE`, `IO_ERROR`
   */
  async unlock(passphrase: Uint8Array): Promise<{ key: Uint8Array; slot: number }> {
    for (const [slot, description] of this.#header.slots.entries()) {
      if (description.active) {
        const key = await this.#tryKey(description, passphrase);
        if (key !== undefined) {
          return { key, slot };
        }
      }
    }
    throw new LamellaError('WRONG_PASSPHRASE', 'no key of the image opens with this passphrase', {
      location: this.#storage.location,
      hint: 'Check the passphrase; it is compared byte for byte.',
    });
  }

  /** Numbers of the active slots that a passphrase opens. */
  async slotsOf(passphrase: Uint8Array): Promise<number[]> {
    const found: number[] = [];
    for (const [index, slot] of this.#header.slots.entries()) {
      const key = slot.active ? await this.#tryKey(slot, passphrase) : undefined;
      if (key !== undefined) {
        key.fill(0);
        found.push(index);
      }
    }
    return found;
  }

  /** The cipher of the image's data. */
  dataCipher(key: Uint8Array): SectorCipher {
    return sectorCipher(this.#crypto, this.#header.spec, key);
  }

  /**
   * Lets a slot open by a passphrase. Key material goes first, so that a crash leaves the slot as it was or
   * complete; durable when it resolves.
   *
   * @param key - the master key
   * @param time - ms that trying the passphrase should take
   */
  async fillSlot(
    index: number,
    key: Uint8Array,
    passphrase: Uint8Array,
    time: number,
  ): Promise<void> {
    const place = this.#slot(index);
    const where = { keyArea: place.keyArea, stripes: place.stripes };
    const sealed = await sealSlot(this.#crypto, this.#header, where, { passphrase, key }, time);
    if (place.active) {
      await this.eraseSlot(index);
    }
    await this.#storage.write(sealed.material, this.#offset + where.keyArea);
    await this.#storage.flush();
    await this.#replace(index, sealed.slot);
  }

  /** Lets a slot open by no passphrase any more, and overwrites its key material. Durable when it resolves. */
  async eraseSlot(index: number): Promise<void> {
    const { keyArea, stripes } = this.#slot(index);
    await this.#replace(index, emptySlot({ keyArea, stripes }));
    const length = keyMaterialLength(keyLength(this.#header.spec), stripes);
    await this.#storage.write(this.#crypto.randomBytes(length), this.#offset + keyArea);
    await this.#storage.flush();
  }

  async #tryKey(slot: KeySlot, passphrase: Uint8Array): Promise<Uint8Array | undefined> {
    const length = keyMaterialLength(keyLength(this.#header.spec), slot.stripes);
    const material = new Uint8Array(length);
    await this.#storage.read(material, this.#offset + slot.keyArea);
    return openSlot(this.#crypto, this.#header, slot, passphrase, material);
  }

  #slot(index: number): KeySlot {
    const slot = this.#header.slots[index];
    if (slot === undefined) {
      throw new LamellaError('INVALID_ARGUMENT', `there is no key slot ${index}`, {
        location: this.#storage.location,
        hint: `Slots are numbered from 0 to ${this.#header.slots.length - 1}.`,
      });
    }
    return slot;
  }

  async #replace(index: number, slot: KeySlot): Promise<void> {
    const header = { ...this.#header, slots: this.#header.slots.with(index, slot) };
    await this.#storage.write(serialiseLuksHeader(header), this.#offset);
    await this.#storage.flush();
    this.#header = header;
  }
}
