import { LamellaError, type Storage, viewOf } from '@lamella/core';
import { gptPartitions } from './gpt.js';
import { isProtective, mbrEntries, mbrPartitions } from './mbr.js';

/** A part of a disk. */
export interface Partition {
  /** Number from 1; those within an extended partition count from 5. */
  readonly number: number;
  /** First byte on the disk. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** What it is for: an MBR type (`0x83`) or a GPT type GUID. */
  readonly type: string;
  /** Name, where the table has them. */
  readonly name?: string | undefined;
}

/**
 * Reads a disk's partition table: GPT, or MBR with the logical partitions in an extended one. Nothing of what
 * the table says of places is checked.
 *
 * @param storage - the disk
 * @param sectorSize - bytes of a sector of the disk that the table was made for
 * @throws LamellaError `WRONG_FORMAT` when there is no table, `INVALID_HEADER` when it can't be right,
 * `LIMIT_EXCEEDED` for more than 1024 partitions
 */
export async function readPartitions(storage: Storage, sectorSize: number): Promise<Partition[]> {
  const sector = new Uint8Array(512);
  await storage.read(sector, 0);
  if (viewOf(sector).getUint16(510) !== 0x55aa) {
    throw new LamellaError('WRONG_FORMAT', 'the disk has no partition table', {
      location: storage.location,
      offset: 510,
      hint: 'Look at the whole disk.',
    });
  }
  const entries = mbrEntries(sector);
  return entries.some(isProtective)
    ? gptPartitions(storage, sectorSize)
    : mbrPartitions(storage, sectorSize, entries);
}
