import type { OptionValue } from 'lamella';
import { Failure } from '../command-line/failure.js';
import { parseSizeText } from '../command-line/size.js';

type Keys = ReadonlyMap<string, OptionValue>;

/** Most entries that QEMU's caches count. */
const MAX_ENTRIES = 2n ** 31n - 1n;
/** Longest time between cleanings of the cache, in seconds. */
const MAX_INTERVAL = 2n ** 32n - 1n;
const MIN_ENTRY = 512n;

/**
 * Checks what qcow2's options of caches say together, as QEMU does. They have no effect here.
 *
 * @throws Failure
 */
export function assertCaches(keys: Keys): void {
  const total = sizeOf(keys, 'cache-size');
  const parts = ['l2-cache-size', 'refcount-cache-size'] as const;
  if (total !== undefined && parts.every((name) => keys.has(name))) {
    throw new Failure(
      'cache-size, l2-cache-size and refcount-cache-size may not be set at the same time',
    );
  }
  for (const name of parts) {
    if (total !== undefined && (sizeOf(keys, name) ?? 0n) > total) {
      throw new Failure(`${name} may not exceed cache-size`);
    }
  }
  const interval = String(keys.get('cache-clean-interval') ?? 0).trim();
  if (interval.startsWith('-') || BigInt(interval.replace('+', '')) > MAX_INTERVAL) {
    throw new Failure('Cache clean interval too big');
  }
}

/**
 * The same for what is counted in clusters.
 *
 * @param clusterSize - in bytes
 * @throws Failure
 */
export function assertCachesFit(keys: Keys, clusterSize: number): void {
  const cluster = BigInt(clusterSize);
  const entry = sizeOf(keys, 'l2-cache-entry-size');
  const isPower = entry !== undefined && (entry & (entry - 1n)) === 0n;
  if (entry !== undefined && (!isPower || entry < MIN_ENTRY || entry > cluster)) {
    throw new Failure(
      `L2 cache entry size must be a power of two between ${MIN_ENTRY} and the cluster size (${cluster})`,
    );
  }
  const rest = (sizeOf(keys, 'cache-size') ?? 0n) - (sizeOf(keys, 'l2-cache-size') ?? 0n);
  if ((sizeOf(keys, 'refcount-cache-size') ?? rest) / cluster > MAX_ENTRIES) {
    throw new Failure('Refcount cache size too big');
  }
}

function sizeOf(keys: Keys, name: string): bigint | undefined {
  const value = keys.get(name);
  return value === undefined ? undefined : parseSizeText(String(value)).bytes;
}
