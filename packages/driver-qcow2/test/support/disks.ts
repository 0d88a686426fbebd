import { promisify } from 'node:util';
import { deflateRawSync, inflateRaw } from 'node:zlib';
import {
  type CompressionCodec,
  type CreateOptions,
  Disk,
  type Layer,
  MemoryStorage,
  type OptionValue,
  type Storage,
} from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { LastingStorage } from '@lamella/driver-testkit';

const inflate = promisify<Uint8Array, object, Buffer>(inflateRaw);

/** Raw deflate, counting its calls. */
export class CountingCodec implements CompressionCodec {
  readonly name = 'deflate';
  calls = 0;

  async decompress(input: Uint8Array, outputLength: number): Promise<Uint8Array> {
    this.calls += 1;
    const output = await inflate(input, { finishFlush: 2, maxOutputLength: outputLength });
    return new Uint8Array(output);
  }

  compress(input: Uint8Array, maxLength: number): Uint8Array | undefined {
    const output = deflateRawSync(input, { windowBits: 12 });
    return output.length <= maxLength ? new Uint8Array(output) : undefined;
  }
}

/** The driver with a deflate codec. */
export const driver = new Qcow2Driver([new CountingCodec()]);

/** Opens a layer for a test; closing it leaves the storage open. */
export async function openLayer(
  storage: Storage,
  writable: boolean,
  cacheSize?: number,
): Promise<Layer> {
  const image = await driver.open(storage, { writable, cacheSize });
  return { format: 'qcow2', storage: new LastingStorage(storage), image, writable };
}

/** Opens a disk over qcow2 storages, top first; only the top is writable. */
export async function openDisk(
  storages: readonly [Storage, ...Storage[]],
  options: { readonly writable?: boolean; readonly cacheSize?: number } = {},
): Promise<Disk> {
  const [top, ...rest] = storages;
  const below = await Promise.all(rest.map((storage) => openLayer(storage, false)));
  return new Disk([await openLayer(top, options.writable ?? false, options.cacheSize), ...below]);
}

/** Options of a new image. */
export function createOptions(
  size: number,
  options: Record<string, OptionValue> = {},
  backing?: CreateOptions['backing'],
): CreateOptions {
  return { size, options, backing };
}

/** A new image in memory. */
export async function newImage(
  size: number,
  options: Record<string, OptionValue> = {},
  backing?: CreateOptions['backing'],
): Promise<MemoryStorage> {
  const storage = new MemoryStorage({ location: 'new.qcow2' });
  await driver.create(storage, createOptions(size, options, backing));
  return storage;
}

/** All bytes of a disk. */
export async function content(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

/** Deterministic random numbers in [0, 1). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Bytes that are all alike. */
export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}
