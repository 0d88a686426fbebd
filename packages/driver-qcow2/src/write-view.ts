import type { ClusterCompressor } from '@lamella/core';
import { DataFileClearer } from './data-file/data-file-clearer.js';
import { DataFileSpace } from './data-file/data-file-space.js';
import { Clearer } from './write/clearer.js';
import { createCompressor } from './write/compressor.js';
import { ClusterPlacer, type Placer } from './write/placer.js';
import { SubclusterPlacer } from './write/subcluster-placer.js';
import type { WriteParts } from './write-parts.js';

/** What answers for writes while an image's metadata stays the same. */
export class WriteView {
  readonly parts: WriteParts;
  readonly compressor: ClusterCompressor | undefined;
  readonly placer: Placer;
  readonly clearer: Clearer | DataFileClearer;

  constructor(parts: WriteParts) {
    const { writer, data, geometry, encryption, space } = parts;
    this.parts = parts;
    // Compressed clusters are never ciphered, and the guest's data would lie in the open.
    this.compressor = encryption === undefined ? createCompressor(parts) : undefined;
    this.placer = geometry.extended
      ? new SubclusterPlacer({ writer, data })
      : new ClusterPlacer({ writer, data });
    const clearer = new Clearer(writer, parts.pressure);
    this.clearer =
      space instanceof DataFileSpace
        ? new DataFileClearer({ clearer, data, space, raw: geometry.rawData })
        : clearer;
  }
}
