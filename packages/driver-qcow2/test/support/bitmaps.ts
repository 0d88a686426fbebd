import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ByteRange, Disk, MemoryStorage } from '@lamella/core';
import { editable } from './mended.js';
import { qemuImg } from './qemu.js';

const EXTENSION = 0x23852875;

/** A bitmap as the bytes of an image have it. */
export interface StoredBitmap {
  readonly name: string;
  readonly inUse: boolean;
  readonly auto: boolean;
  readonly granularity: number;
  /** Runs of set bits as bytes of the disk; empty for a bitmap in use. */
  readonly ranges: readonly ByteRange[];
  /** Table entries. */
  readonly table: readonly number[];
}

/** Reads bitmaps from an image's bytes, independently of the driver; none if the autoclear bit is not set. */
export async function storedBitmaps(storage: MemoryStorage): Promise<StoredBitmap[]> {
  const image = await editable(storage);
  if ((image.u32(92) & 1) === 0) {
    return [];
  }
  const extension = image.extension(EXTENSION);
  const bitmaps: StoredBitmap[] = [];
  let at = Number(image.u64(extension + 16));
  for (let left = image.u32(extension); left > 0; left -= 1) {
    const nameLength = image.u16(at + 18);
    const flags = image.u32(at + 12);
    const granularity = 2 ** image.bytes.readUInt8(at + 17);
    const table = Array.from({ length: image.u32(at + 8) }, (_, index) =>
      Number(image.u64(Number(image.u64(at)) + index * 8)),
    );
    bitmaps.push({
      name: image.bytes.toString('utf8', at + 24, at + 24 + nameLength),
      inUse: (flags & 1) !== 0,
      auto: (flags & 2) !== 0,
      granularity,
      get ranges() {
        return (flags & 1) !== 0 ? [] : rangesOf(table, image, granularity);
      },
      table,
    });
    at += Math.ceil((24 + nameLength) / 8) * 8;
  }
  return bitmaps;
}

type Image = Awaited<ReturnType<typeof editable>>;

function rangesOf(table: readonly number[], image: Image, granularity: number): ByteRange[] {
  const size = Number(image.u64(24));
  const perCluster = image.clusterSize * 8;
  const set: boolean[] = [];
  for (let bit = 0; bit < Math.ceil(size / granularity); bit += 1) {
    const entry = table[Math.floor(bit / perCluster)] ?? 0;
    const inCluster = bit % perCluster;
    const byte = entry > 1 ? (image.bytes[entry + Math.floor(inCluster / 8)] ?? 0) : 255 * entry;
    set.push(((byte >>> (inCluster % 8)) & 1) === 1);
  }
  return unitRanges(set, granularity, size);
}

/** Runs of units that are set, as bytes of a disk. */
export function unitRanges(set: readonly boolean[], unit: number, size: number): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let first = 0; first < set.length; first += 1) {
    if (set[first] === true) {
      let end = first;
      while (set[end] === true) {
        end += 1;
      }
      ranges.push({ offset: first * unit, length: Math.min(end * unit, size) - first * unit });
      first = end;
    }
  }
  return ranges;
}

/** What a disk says of a bitmap. */
export async function rangesFrom(disk: Disk, name: string): Promise<ByteRange[]> {
  const ranges: ByteRange[] = [];
  for await (const range of disk.bitmaps.ranges(name)) {
    ranges.push(range);
  }
  return ranges;
}

/** Whether the tool that shows bitmaps to QEMU is there. */
export const HAVE_NBD = spawnSync('qemu-nbd', ['--version']).status === 0;

/** What QEMU finds in a bitmap of an image. */
export async function qemuRanges(path: string, name: string): Promise<ByteRange[]> {
  const socket = `${path}.sock`;
  const server = spawn(
    'qemu-nbd',
    ['-r', '-t', '-k', socket, '-f', 'qcow2', `--bitmap=${name}`, path],
    { stdio: 'ignore' },
  );
  try {
    await socketOf(server, socket);
    const image = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${name}`;
    const rows: { start: number; length: number; data: boolean }[] = JSON.parse(
      qemuImg('map', '--output=json', '--image-opts', image),
    );
    return joined(rows.filter(({ data }) => !data));
  } finally {
    server.kill();
    await exited(server);
    rmSync(socket, { force: true });
  }
}

function joined(rows: readonly { readonly start: number; readonly length: number }[]): ByteRange[] {
  const ranges: { offset: number; length: number }[] = [];
  for (const { start, length } of rows) {
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.length === start) {
      last.length += length;
    } else {
      ranges.push({ offset: start, length });
    }
  }
  return ranges;
}

async function socketOf(server: ChildProcess, socket: string): Promise<void> {
  while (!existsSync(socket)) {
    if (server.exitCode !== null) {
      throw new Error(`qemu-nbd ended with ${server.exitCode}`);
    }
    await sleep(5);
  }
}

async function exited(server: ChildProcess): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    await once(server, 'exit');
  }
}

/** The bitmaps that qemu-img info lists. */
export function qemuBitmaps(
  path: string,
): readonly { name: string; granularity: number; flags: readonly string[] }[] {
  const info = JSON.parse(qemuImg('info', '--output=json', '-f', 'qcow2', path));
  return info['format-specific'].data.bitmaps ?? [];
}
