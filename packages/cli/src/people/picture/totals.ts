import { KINDS, type Kind } from './extent-kind.js';
import type { Picture, PictureLayer } from './picture.js';

/** Kinds that take space as data. */
const DATA: readonly Kind[] = ['data', 'compressed', 'encrypted'];

/** Bytes of the guest's disk that a layer holds as data of any kind. */
export function heldBytes({ own }: PictureLayer): number {
  return DATA.reduce((sum, kind) => sum + own.total(undefined, kind), 0);
}

/** How many of them a layer above hides. */
export function hiddenBytes({ visible }: Picture, layer: PictureLayer): number {
  const shown = DATA.reduce((sum, kind) => sum + visible.total(layer.number, kind), 0);
  return Math.max(0, heldBytes(layer) - shown);
}

/** The kinds that a picture shows anywhere. */
export function kindsIn({ layers, visible }: Picture): readonly Kind[] {
  return KINDS.filter(
    (kind) =>
      visible.total(undefined, kind) > 0 ||
      layers.some(({ own }) => own.total(undefined, kind) > 0),
  );
}
