import { COMPRESSION_CODEC, CRYPTO_PLATFORM, STORAGE_DRIVER } from '@lamella/core';
import type { DependencyContainer } from 'tsyringe';
import { DeflateCodec } from './codec/deflate-codec.js';
import { ZstdCodec } from './codec/zstd-codec.js';
import { builtInZstd, packagedZstd, systemZstd, ZSTD_LIBRARY } from './codec/zstd-library.js';
import { NodeCrypto } from './crypto/node-crypto.js';
import { FileStorageDriver } from './file/file-storage-driver.js';
import { NATIVE_CALLS, nativeCalls } from './native/native-calls.js';

/**
 * Registers what Node.js gives: files under `STORAGE_DRIVER`, deflate and zstd under
 * `COMPRESSION_CODEC`, OpenSSL under `CRYPTO_PLATFORM`, the native helper under `NATIVE_CALLS`.
 *
 * @param container - the container of one `Lamella`, or a program's own
 */
export function registerNodePlatform(container: DependencyContainer): void {
  container.register(NATIVE_CALLS, { useFactory: () => nativeCalls() });
  container.register(STORAGE_DRIVER, { useClass: FileStorageDriver });
  container.register(ZSTD_LIBRARY, {
    useFactory: (scope) => () =>
      systemZstd(scope.resolve(NATIVE_CALLS)) ?? builtInZstd() ?? packagedZstd(),
  });
  container.register(COMPRESSION_CODEC, { useClass: DeflateCodec });
  container.register(CRYPTO_PLATFORM, { useClass: NodeCrypto });
  container.register(COMPRESSION_CODEC, { useClass: ZstdCodec });
}
