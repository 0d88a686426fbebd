/**
 * What Node.js gives: files with their locks and cache modes, zlib and zstd, cryptography.
 *
 * @packageDocumentation
 */

import 'reflect-metadata';

export { DeflateCodec } from './codec/deflate-codec.js';
export { ZstdCodec } from './codec/zstd-codec.js';
export type { ZstdFinder, ZstdLibrary } from './codec/zstd-library.js';
export { builtInZstd, packagedZstd, systemZstd, ZSTD_LIBRARY } from './codec/zstd-library.js';
export { NodeCrypto } from './crypto/node-crypto.js';
export type { DataPath } from './file/data-path.js';
export type { FileStorageOptions } from './file/file-storage.js';
export { FileStorage } from './file/file-storage.js';
export { FileStorageDriver } from './file/file-storage-driver.js';
export type { NativeCalls, NativeZstd } from './native/native-calls.js';
export { NATIVE_CALLS, nativeCalls } from './native/native-calls.js';
export { registerNodePlatform } from './register.js';
export { widenThreadPool } from './thread-pool.js';
