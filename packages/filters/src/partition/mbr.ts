import { LamellaError, type Storage, viewOf } from '@lamella/core';
import type { Partition } from './partitions.js';

const TABLE = 446;
const ENTRY = 16;
/** Types of partitions that hold further ones. */
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
/** The one that stands for a GPT. */
const PROTECTIVE = 0xee;
/** Most logical partitions: a chain of them may run in a circle. */
const MAX_LOGICAL = 1024;

/** A record of a master boot record, sectors as they stand there. */
export interface MbrEntry {
  readonly index: number;
  readonly type: number;
  readonly first: number;
  readonly sectors: number;
}

/** The records of a master or extended boot record that are in use. */
export function mbrEntries(sector: Uint8Array): MbrEntry[] {
  const view = viewOf(sector);
  return [0, 1, 2, 3]
    .map((index) => {
      const at = TABLE + index * ENTRY;
      return {
        index,
        type: view.getUint8(at + 4),
        first: view.getUint32(at + 8, true),
        sectors: view.getUint32(at + 12, true),
      };
    })
    .filter(({ type, sectors }) => type !== 0 && sectors !== 0);
}

/** Whether a record says that a GPT is what counts. */
export function isProtective({ type }: MbrEntry): boolean {
  return type === PROTECTIVE;
}

/** Primary partitions by their place in the table, then logical ones from 5 on. */
export async function mbrPartitions(
  storage: Storage,
  sectorSize: number,
  entries: readonly MbrEntry[],
): Promise<Partition[]> {
  const primary = entries
    .filter(({ type }) => !EXTENDED.has(type))
    .map((entry) => partition(entry.index + 1, entry, 0, sectorSize));
  const extended = entries.find(({ type }) => EXTENDED.has(type));
  return extended === undefined
    ? primary
    : [...primary, ...(await logicalPartitions(storage, sectorSize, extended.first))];
}

/** Each extended boot record names one logical partition and the next record. */
async function logicalPartitions(
  storage: Storage,
  sectorSize: number,
  start: number,
): Promise<Partition[]> {
  const found: Partition[] = [];
  const sector = new Uint8Array(512);
  for (let at = start, steps = 0; ; steps += 1) {
    if (steps === MAX_LOGICAL) {
      throw new LamellaError('LIMIT_EXCEEDED', `more than ${MAX_LOGICAL} logical partitions`, {
        location: storage.location,
        hint: 'The chain of extended boot records runs in a circle.',
      });
    }
    await storage.read(sector, at * sectorSize);
    if (viewOf(sector).getUint16(510) !== 0x55aa) {
      throw new LamellaError('INVALID_HEADER', 'an extended boot record is missing', {
        location: storage.location,
        offset: at * sectorSize,
        hint: 'The partition table is damaged.',
      });
    }
    const entries = mbrEntries(sector);
    const own = entries.find(({ type }) => !EXTENDED.has(type));
    if (own !== undefined) {
      found.push(partition(5 + found.length, own, at, sectorSize));
    }
    const next = entries.find(({ type }) => EXTENDED.has(type));
    if (next === undefined) {
      return found;
    }
    at = start + next.first;
  }
}

function partition(
  number: number,
  { type, first, sectors }: MbrEntry,
  base: number,
  sectorSize: number,
): Partition {
  return {
    number,
    offset: (base + first) * sectorSize,
    length: sectors * sectorSize,
    type: `0x${type.toString(16).padStart(2, '0')}`,
  };
}
