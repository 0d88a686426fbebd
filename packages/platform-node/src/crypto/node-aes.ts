import { type Cipher, createCipheriv, createDecipheriv, type Decipher } from 'node:crypto';
import { AES_BLOCK, type AesCipher, LamellaError } from '@lamella/core';

/** Key sizes of AES in bytes. */
const KEY_SIZES: readonly number[] = [16, 24, 32];

/**
 * AES by OpenSSL. Making a cipher object costs far more than ciphering a sector with it, so there is one
 * for each direction and mode, made when it is first needed and kept.
 */
export class NodeAes implements AesCipher {
  readonly #key: Uint8Array;
  readonly #name: string;
  #encryptor: Cipher | undefined;
  #decryptor: Decipher | undefined;
  #chain: Cipher | undefined;
  /** Last block that {@link NodeAes.#chain} gave: what it will mix into the next one. */
  readonly #last = new Uint8Array(AES_BLOCK);

  /**
   * @param key - 16, 24 or 32 bytes; a copy is kept
   * @throws LamellaError `INVALID_ARGUMENT` for another size
   */
  constructor(key: Uint8Array) {
    if (!KEY_SIZES.includes(key.length)) {
      throw new LamellaError('INVALID_ARGUMENT', `an AES key can't have ${key.length} bytes`, {
        hint: 'It has 16, 24 or 32.',
      });
    }
    this.#key = Uint8Array.from(key);
    this.#name = `aes-${key.length * 8}`;
  }

  encryptBlocks(input: Uint8Array): Uint8Array {
    this.#encryptor ??= createCipheriv(`${this.#name}-ecb`, this.#key, null).setAutoPadding(false);
    return this.#encryptor.update(input);
  }

  decryptBlocks(input: Uint8Array): Uint8Array {
    this.#decryptor ??= createDecipheriv(`${this.#name}-ecb`, this.#key, null).setAutoPadding(
      false,
    );
    return this.#decryptor.update(input);
  }

  /**
   * The cipher object goes on chaining from its last output. Taking that out of the first block, and the
   * initialisation vector in, starts a new chain without a new object.
   */
  encryptChain(input: Uint8Array, iv: Uint8Array): Uint8Array {
    this.#chain ??= createCipheriv(`${this.#name}-cbc`, this.#key, this.#last).setAutoPadding(
      false,
    );
    // Not slice(): that of a Buffer shares memory.
    const mixed = Uint8Array.from(input);
    for (let i = 0; i < AES_BLOCK; i += 1) {
      mixed[i] = (mixed[i] ?? 0) ^ (iv[i] ?? 0) ^ (this.#last[i] ?? 0);
    }
    const output = this.#chain.update(mixed);
    this.#last.set(output.subarray(output.length - AES_BLOCK));
    return output;
  }
}
