import { KINDS, type Kind } from './extent-kind.js';

/** Extents that are remembered of a column, for the text that is shown over it. */
const MAX_NOTED = 3;

/** A part of the guest's disk, cut into columns of equal width. */
export interface ColumnScale {
  /** First byte. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** How many columns. */
  readonly columns: number;
}

/** An extent as a column remembers it. */
export interface NotedExtent {
  /** First byte of the guest's disk. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  readonly kind: Kind;
  /** Number of the layer that holds it; undefined for a missing one. */
  readonly layer: number | undefined;
  /** Byte within the layer's file, where it has a place there. */
  readonly hostOffset: number | undefined;
}

/** The first byte of a column; that of the one behind the last is the end. */
export function columnStart({ offset, length, columns }: ColumnScale, column: number): number {
  return offset + Math.floor((length / columns) * column);
}

/**
 * What lies in each column: bytes of each kind, and the first few extents. Memory depends on the number of
 * columns, never on that of extents.
 */
export class Columns {
  readonly scale: ColumnScale;
  readonly #layers: number;
  readonly #bytes: Float64Array;
  readonly #noted: NotedExtent[][];
  readonly #counts: Uint32Array;

  /** @param layers - how many are told apart; extents of a layer beyond count as the last */
  constructor(scale: ColumnScale, layers: number) {
    this.scale = scale;
    this.#layers = layers;
    this.#bytes = new Float64Array(scale.columns * layers * KINDS.length);
    this.#noted = Array.from({ length: scale.columns }, () => []);
    this.#counts = new Uint32Array(scale.columns);
  }

  /** Takes an extent in that lies within the scale. */
  add(extent: NotedExtent): void {
    const end = extent.offset + extent.length;
    for (
      let column = this.#columnOf(extent.offset);
      column < this.scale.columns && columnStart(this.scale, column) < end;
      column += 1
    ) {
      const start = Math.max(extent.offset, columnStart(this.scale, column));
      const stop = Math.min(end, columnStart(this.scale, column + 1));
      const index = this.#index(column, extent.layer, extent.kind);
      this.#bytes[index] = (this.#bytes[index] ?? 0) + stop - start;
      this.#counts[column] = (this.#counts[column] ?? 0) + 1;
      const noted = this.#noted[column];
      if (noted !== undefined && noted.length < MAX_NOTED) {
        noted.push(extent);
      }
    }
  }

  /** Bytes of a kind in a column. */
  bytes(column: number, layer: number | undefined, kind: Kind): number {
    return this.#bytes[this.#index(column, layer, kind)] ?? 0;
  }

  /** The first extents of a column. */
  noted(column: number): readonly NotedExtent[] {
    return this.#noted[column] ?? [];
  }

  /** How many extents a column has a part of. */
  count(column: number): number {
    return this.#counts[column] ?? 0;
  }

  /** Bytes of a kind in all columns. */
  total(layer: number | undefined, kind: Kind): number {
    let sum = 0;
    for (let column = 0; column < this.scale.columns; column += 1) {
      sum += this.bytes(column, layer, kind);
    }
    return sum;
  }

  #columnOf(position: number): number {
    const { offset, length, columns } = this.scale;
    let column = Math.min(columns - 1, Math.floor(((position - offset) * columns) / length));
    // What rounding may have put on the wrong side of an edge.
    while (column > 0 && columnStart(this.scale, column) > position) {
      column -= 1;
    }
    while (columnStart(this.scale, column + 1) <= position && column < columns - 1) {
      column += 1;
    }
    return column;
  }

  #index(column: number, layer: number | undefined, kind: Kind): number {
    const row = Math.min(layer ?? this.#layers - 1, this.#layers - 1);
    return (column * this.#layers + row) * KINDS.length + KINDS.indexOf(kind);
  }
}
