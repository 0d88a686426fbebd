import type { Image } from './image.js';

/** A snapshot inside an image. */
export interface SnapshotInfo {
  /** Identifier, unique in the image. */
  readonly id: string;
  /** Name given by the user; may be ambiguous. */
  readonly name: string;
  /** Bytes of saved machine state; 0 for a disk-only snapshot. */
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

/** What a new snapshot is to be called. */
export interface CreateSnapshotOptions {
  /** Name. */
  readonly name: string;
  /** When it is taken; now by default. */
  readonly date?: Date | undefined;
}

/** The snapshots inside an image. Creating, applying and deleting run alone. */
export interface SnapshotStore {
  /** All snapshots, in the order of the image. */
  list(): readonly SnapshotInfo[];
  /**
   * Keeps the disk's present state under a name. Durable when it resolves.
   *
   * @throws LamellaError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED`, `NO_SPACE`, `READ_ONLY`
   */
  create(options: CreateSnapshotOptions): Promise<SnapshotInfo>;
  /**
   * Makes the disk as it was. What was written since is gone.
   *
   * @param key - identifier, or else name
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`, `UNSUPPORTED`
   */
  apply(key: string): Promise<void>;
  /**
   * Forgets a snapshot and frees what only it held.
   *
   * @param key - identifier, or else name
   * @throws LamellaError `NOT_FOUND`, `READ_ONLY`
   */
  delete(key: string): Promise<void>;
  /**
   * The disk as it was, read-only. Valid until the snapshot is deleted or the image closed.
   *
   * @param key - identifier, or else name
   * @throws LamellaError `NOT_FOUND`
   */
  open(key: string): Promise<Image>;
}
