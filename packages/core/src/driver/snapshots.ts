import { LamellaError } from '../errors/index.js';
import type { Image } from './image.js';

/** A snapshot inside an image. */
export interface SnapshotInfo {
  /** Identifier, unique in the image. */
  readonly id: string;
  /** Name given by the user; may be ambiguous. */
  readonly name: string;
  /** Bytes of machine state saved with it; 0 for a disk-only snapshot. */
  readonly vmStateSize: number;
  /** Size of the disk when it was taken, in bytes. */
  readonly diskSize: number;
  /** When it was taken. */
  readonly date: Date;
  /** Nanoseconds within that second. */
  readonly dateNanoseconds: number;
  /** Time that the guest had been running, in nanoseconds. */
  readonly vmClock: bigint;
  /** Instructions that the guest had executed, where that was recorded. */
  readonly icount?: bigint | undefined;
}

/**
 * Which snapshot is meant. A string is an identifier or, if no snapshot has that, a name. An object names
 * both or one of them, and nothing else is tried.
 */
export type SnapshotKey = string | SnapshotName;

/** A snapshot's identifier, its name, or both. */
export interface SnapshotName {
  /** Identifier. */
  readonly id?: string | undefined;
  /** Name. */
  readonly name?: string | undefined;
}

/** What a new snapshot is to be called. */
export interface CreateSnapshotOptions {
  /** Name. */
  readonly name: string;
  /** When it is taken; now by default. */
  readonly date?: Date | undefined;
}

/** The snapshots inside an image. Creating, applying and deleting run alone. */
export interface SnapshotStore {
  /**
   * All snapshots, in the order of the image.
   *
   * @throws LamellaError `LIMIT_EXCEEDED`, `TRUNCATED`, `CORRUPT` when what the image says of them is damaged
   */
  list(): readonly SnapshotInfo[];
  /**
   * Keeps the disk's present state under a name. Durable when it resolves.
   *
   * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `READ_ONLY`
   */
  create(options: CreateSnapshotOptions): Promise<SnapshotInfo>;
  /**
   * Makes the disk as it was, its size included. What was written since is gone. Durable when it resolves.
   *
   * @throws LamellaError `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have, `READ_ONLY`,
   * `UNSUPPORTED`, `LIMIT_EXCEEDED`, `NO_SPACE`, `CORRUPT`
   */
  apply(key: SnapshotKey): Promise<void>;
  /**
   * Forgets a snapshot and frees what only it held. Durable when it resolves.
   *
   * @throws LamellaError `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have, `READ_ONLY`,
   * `NO_SPACE`, `CORRUPT`
   */
  delete(key: SnapshotKey): Promise<void>;
  /**
   * The disk as it was, read-only. Valid until the snapshot is deleted or the image closed.
   *
   * @throws LamellaError `NOT_FOUND`, `INVALID_ARGUMENT` for a name that several have, `CORRUPT`
   */
  open(key: SnapshotKey): Promise<Image>;
}

/**
 * Finds the snapshot that is meant.
 *
 * @param snapshots - all of the image
 * @param location - the image, for messages
 * @throws LamellaError `NOT_FOUND`; `INVALID_ARGUMENT` when several fit, or for a key that says nothing
 */
export function findSnapshot(
  snapshots: readonly SnapshotInfo[],
  key: SnapshotKey,
  location: string,
): SnapshotInfo {
  const found = candidates(snapshots, key, location);
  const [first, second] = found;
  if (first === undefined) {
    throw new LamellaError('NOT_FOUND', `there is no snapshot ${describeKey(key)}`, {
      location,
      hint:
        snapshots.length === 0
          ? 'The image has no snapshots.'
          : 'Name one by its identifier or its name.',
    });
  }
  if (second !== undefined) {
    const ids = found.slice(0, 10).map(({ id }) => `'${id}'`);
    throw new LamellaError('INVALID_ARGUMENT', `several snapshots are ${describeKey(key)}`, {
      location,
      hint: `Say which by its identifier: ${ids.join(', ')}${found.length > 10 ? ', …' : ''}.`,
    });
  }
  return first;
}

function candidates(
  snapshots: readonly SnapshotInfo[],
  key: SnapshotKey,
  location: string,
): readonly SnapshotInfo[] {
  if (typeof key === 'string') {
    const byId = snapshots.filter(({ id }) => id === key);
    return byId.length > 0 ? byId : snapshots.filter(({ name }) => name === key);
  }
  if (key.id === undefined && key.name === undefined) {
    throw new LamellaError('INVALID_ARGUMENT', 'no snapshot was named', {
      location,
      hint: 'Give its identifier or its name.',
    });
  }
  return snapshots.filter(
    ({ id, name }) =>
      (key.id === undefined || key.id === id) && (key.name === undefined || key.name === name),
  );
}

function describeKey(key: SnapshotKey): string {
  return typeof key === 'string'
    ? `'${key}'`
    : [
        ...(key.id === undefined ? [] : [`with the identifier '${key.id}'`]),
        ...(key.name === undefined ? [] : [`named '${key.name}'`]),
      ].join(' and ');
}
