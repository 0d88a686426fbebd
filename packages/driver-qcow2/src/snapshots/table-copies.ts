import type { PointerTable } from '../tables/pointer-table.js';
import { RunWriter } from '../tables/run-writer.js';
import type { ChangeParts } from './change-parts.js';
import { TableWalk, type WholeTable } from './table-walk.js';

/** Where new tables go, in bytes of the file: the active L1 table, the snapshot table, copies of L2 tables. */
export interface Places {
  active: number;
  table: number;
  copies: Float64Array;
}

/** No places for copies. */
export const NOWHERE: Float64Array = new Float64Array(0);

/** Which entries of an L1 table are chosen. */
export class TableMarks {
  readonly #marks: Uint8Array;
  #count = 0;

  /** @param length - entries of the table */
  constructor(length: number) {
    this.#marks = new Uint8Array(length);
  }

  /** How many are chosen. */
  get count(): number {
    return this.#count;
  }

  /** Whether an entry is chosen. */
  has(index: number): boolean {
    return this.#marks[index] === 1;
  }

  /** Chooses an entry. */
  add(index: number): void {
    if (!this.has(index)) {
      this.#marks[index] = 1;
      this.#count += 1;
    }
  }
}

/** L2 tables that are to be copied. */
export interface TableCopies {
  readonly l1: PointerTable;
  readonly marks: TableMarks;
  /** Byte offsets for the copies. */
  readonly places: Float64Array;
  /** Changes a copy before it is written. */
  readonly transform: (table: WholeTable) => Promise<void> | void;
  /** Called for each copy. */
  readonly moved: (l1Index: number, from: number, to: number) => void;
}

/**
 * Writes changed copies of the marked L2 tables, in the order of the file.
 *
 * @throws LamellaError `CORRUPT`, `IO_ERROR`, `NO_SPACE`
 */
export async function copyTables(parts: ChangeParts, copies: TableCopies): Promise<void> {
  const { l1, marks, places, transform, moved } = copies;
  if (marks.count === 0) {
    return;
  }
  const writer = new RunWriter(parts.storage);
  let position = 0;
  for await (const tables of new TableWalk(parts).batches(l1, l1.length)) {
    for (const table of tables) {
      if (marks.has(table.l1Index)) {
        const place = places[position] ?? 0;
        position += 1;
        await transform(table);
        writer.add(place, table.bytes);
        moved(table.l1Index, table.offset, place);
      }
    }
    await writer.write();
  }
}

/** Leads all entries of an L1 table up to `length` to the same tables, as shared ones. */
export function shareAll(l1: PointerTable, length: number): void {
  for (let index = 0; index < length; index += 1) {
    const pointer = l1.get(index);
    if (pointer > 0 && l1.isCopied(index)) {
      l1.set(index, pointer, false);
    }
  }
}
