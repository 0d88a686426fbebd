import { type ErrorCode, LamellaError } from '@lamella/core';
import { hasFeature, INCOMPATIBLE } from './features.js';
import {
  FIELD,
  type Header,
  MAX_L1_BYTES,
  MAX_REFCOUNT_TABLE_BYTES,
  MAX_SNAPSHOTS,
} from './header.js';

/**
 * Checks what a header says about the tables elsewhere in the file, before memory is taken for them.
 *
 * @param fileSize - bytes of the image file
 * @throws LamellaError `INVALID_HEADER`, `LIMIT_EXCEEDED`, `TRUNCATED`
 */
export function validateTables(header: Header, fileSize: number, location: string): void {
  new TableValidator(header, fileSize, location).run();
}

class TableValidator {
  readonly #header: Header;
  readonly #fileSize: number;
  readonly #location: string;
  readonly #clusterSize: number;

  constructor(header: Header, fileSize: number, location: string) {
    this.#header = header;
    this.#fileSize = fileSize;
    this.#location = location;
    this.#clusterSize = 2 ** header.clusterBits;
  }

  run(): void {
    this.#extendedL2();
    this.#l1();
    this.#refcountTable();
    this.#snapshots();
  }

  #extendedL2(): void {
    const { incompatible, clusterBits } = this.#header;
    if (hasFeature(incompatible, INCOMPATIBLE.extendedL2) && clusterBits < 14) {
      this.#fail(
        'INVALID_HEADER',
        FIELD.clusterBits,
        `extended L2 entries with clusters of ${this.#clusterSize} bytes`,
        'They need clusters of at least 16384 bytes.',
      );
    }
  }

  #l1(): void {
    const { size, l1Size, l1Offset, incompatible } = this.#header;
    if (l1Size * 8 > MAX_L1_BYTES) {
      this.#fail(
        'LIMIT_EXCEEDED',
        FIELD.l1Size,
        `the L1 table has ${l1Size} entries`,
        `At most ${MAX_L1_BYTES / 8} are supported.`,
      );
    }
    const entrySize = hasFeature(incompatible, INCOMPATIBLE.extendedL2) ? 16 : 8;
    const needed = Math.ceil(size / (this.#clusterSize * (this.#clusterSize / entrySize)));
    if (l1Size < needed) {
      this.#fail(
        'INVALID_HEADER',
        FIELD.l1Size,
        `the L1 table has ${l1Size} entries, too few for a disk of ${size} bytes`,
        `It needs ${needed}.`,
      );
    }
    if (l1Size > 0) {
      this.#place('L1 table', FIELD.l1Offset, l1Offset, l1Size * 8);
    }
  }

  #refcountTable(): void {
    const { refcountTableClusters, refcountTableOffset } = this.#header;
    const bytes = refcountTableClusters * this.#clusterSize;
    if (bytes > MAX_REFCOUNT_TABLE_BYTES) {
      this.#fail(
        'LIMIT_EXCEEDED',
        FIELD.refcountTableClusters,
        `the refcount table has ${bytes} bytes`,
        `At most ${MAX_REFCOUNT_TABLE_BYTES} are supported.`,
      );
    }
    if (refcountTableClusters === 0) {
      this.#fail(
        'INVALID_HEADER',
        FIELD.refcountTableClusters,
        'the image has no refcount table',
        'It must have at least one cluster.',
      );
    }
    this.#place('refcount table', FIELD.refcountTableOffset, refcountTableOffset, bytes);
  }

  #snapshots(): void {
    const { snapshotCount, snapshotsOffset } = this.#header;
    if (snapshotCount > MAX_SNAPSHOTS) {
      this.#fail(
        'LIMIT_EXCEEDED',
        FIELD.snapshotCount,
        `the image says it has ${snapshotCount} snapshots`,
        `At most ${MAX_SNAPSHOTS} are supported.`,
      );
    }
    if (snapshotCount > 0) {
      this.#place('snapshot table', FIELD.snapshotsOffset, snapshotsOffset, 1);
    }
  }

  #place(what: string, field: number, offset: number, length: number): void {
    if (offset === 0 || offset % this.#clusterSize !== 0) {
      this.#fail(
        'INVALID_HEADER',
        field,
        `the ${what} is at byte ${offset}`,
        `It must start at a multiple of the cluster size (${this.#clusterSize}), behind the header.`,
      );
    }
    if (offset + length > this.#fileSize) {
      this.#fail(
        'TRUNCATED',
        field,
        `the ${what} reaches to byte ${offset + length}, behind the end of the file`,
        `The file has ${this.#fileSize} bytes and is incomplete.`,
      );
    }
  }

  #fail(code: ErrorCode, offset: number, problem: string, hint: string): never {
    throw new LamellaError(code, problem, { location: this.#location, offset, hint });
  }
}
