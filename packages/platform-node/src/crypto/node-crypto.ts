import { createHash, getHashes, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import {
  type AesCipher,
  type CryptoPlatform,
  HASH_NAMES,
  type HashName,
  LamellaError,
} from '@lamella/core';
import { injectable } from 'tsyringe';
import { NodeAes } from './node-aes.js';

/** Cryptography by Node.js's OpenSSL; PBKDF2 on the thread pool. */
@injectable()
export class NodeCrypto implements CryptoPlatform {
  #hashes: readonly HashName[] | undefined;

  /** Those of {@link HASH_NAMES} that this Node.js has. */
  get hashes(): readonly HashName[] {
    this.#hashes ??= HASH_NAMES.filter((name) => getHashes().includes(name));
    return this.#hashes;
  }

  aes(key: Uint8Array): AesCipher {
    return new NodeAes(key);
  }

  digest(hash: HashName, pieces: readonly Uint8Array[]): Uint8Array {
    this.#assertKnown(hash);
    const digest = createHash(hash);
    for (const piece of pieces) {
      digest.update(piece);
    }
    return plain(digest.digest());
  }

  async pbkdf2(
    hash: HashName,
    secret: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number,
  ): Promise<Uint8Array> {
    this.#assertKnown(hash);
    return plain(await promisify(pbkdf2)(secret, salt, iterations, length, hash));
  }

  randomBytes(length: number): Uint8Array {
    return plain(randomBytes(length));
  }

  equal(left: Uint8Array, right: Uint8Array): boolean {
    return left.length === right.length && timingSafeEqual(left, right);
  }

  #assertKnown(hash: HashName): void {
    if (!this.hashes.includes(hash)) {
      throw new LamellaError('UNSUPPORTED', `this Node.js has no ${hash}`, {
        hint: `It has ${this.hashes.join(', ')}.`,
      });
    }
  }
}

/** The same memory as a plain array, whose methods do what portable code expects of them. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
