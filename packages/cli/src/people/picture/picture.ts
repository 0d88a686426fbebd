import type { ColumnScale, Columns } from './columns.js';

/** A layer of a picture. */
export interface PictureLayer {
  /** 0 for the top. */
  readonly number: number;
  readonly location: string;
  /** Where its data are, if not in the image's file. */
  readonly dataFile: string | undefined;
  readonly format: string;
  /** Bytes of its disk. */
  readonly size: number;
  /** Bytes that its files take; undefined if nobody knows. */
  readonly allocated: number | undefined;
  /** What it holds itself. */
  readonly own: Columns;
}

/** Where the data of a disk live. */
export interface Picture {
  /** Name of the top image, as the user gave it. */
  readonly title: string;
  /** Bytes of the whole disk. */
  readonly size: number;
  readonly scale: ColumnScale;
  /** Who answers: for each layer what shows of it. The row behind the last layer is the missing file's. */
  readonly visible: Columns;
  readonly layers: readonly PictureLayer[];
  /** Name of the backing file that is not there. */
  readonly missing: string | undefined;
}
