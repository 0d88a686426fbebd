import type { RepairMode } from '@lamella/core';
import type { BaseName } from './base-images.js';
import { DATA_FILE_DAMAGE } from './damage/data-file.js';
import { HEADER_DAMAGE } from './damage/header.js';
import { MAPPING_DAMAGE } from './damage/mapping.js';
import { REFCOUNT_DAMAGE } from './damage/refcounts.js';
import { SNAPSHOT_AND_BITMAP_DAMAGE } from './damage/snapshots-bitmaps.js';
import type { Editable } from './editable.js';

/** One way to ruin an image. */
export interface Damage {
  readonly name: string;
  /** What is ruined. */
  readonly base: BaseName;
  readonly apply: (image: Editable) => void;
  /** Where we differ from QEMU by choice, and why. */
  readonly known?: Partial<Record<RepairMode, string>>;
}

/** Every kind of damage, each of its own sort. */
export const CORPUS: readonly Damage[] = [
  ...HEADER_DAMAGE,
  ...MAPPING_DAMAGE,
  ...REFCOUNT_DAMAGE,
  ...SNAPSHOT_AND_BITMAP_DAMAGE,
  ...DATA_FILE_DAMAGE,
];
