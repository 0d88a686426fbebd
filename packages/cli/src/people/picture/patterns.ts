import type { Kind } from './extent-kind.js';
import { layerClass, PALETTE_SIZE } from './palette.js';

/**
 * The attributes of a shape of some kind: the layer's colour, and a texture for what is no plain data.
 *
 * @param effect - class for shapes that are paler
 */
export function fillOf(kind: Kind, layer: number | undefined, effect?: 'thin' | 'hidden'): string {
  const colour = kind === 'data' ? layerClass(layer ?? 0) : undefined;
  const classes = [colour, effect].filter((name) => name !== undefined).join(' ');
  const texture = kind === 'compressed' || kind === 'encrypted' ? (layer ?? 0) % PALETTE_SIZE : '';
  return [
    ...(classes === '' ? [] : [`class="${classes}"`]),
    ...(kind === 'data' ? [] : [`fill="url(#${kind}${texture})"`]),
  ].join(' ');
}

/** The textures that a picture with so many layers needs. */
export function patternDefinitions(layers: number): string {
  const definitions = [
    '<pattern id="zero" width="6" height="6" patternUnits="userSpaceOnUse">' +
      '<rect width="6" height="6" class="zerobg"/><rect y="4" width="6" height="1.5" class="zero"/></pattern>',
    '<pattern id="missing" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">' +
      '<rect width="8" height="8" class="bg"/><rect width="8" height="3" class="missing"/>' +
      '<rect width="3" height="8" class="missing"/></pattern>',
  ];
  for (let index = 0; index < Math.min(layers, PALETTE_SIZE); index += 1) {
    const colour = layerClass(index);
    definitions.push(
      `<pattern id="compressed${index}" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
        `<rect width="7" height="7" class="${colour}"/><rect width="2.6" height="7" class="stripe"/></pattern>`,
      `<pattern id="encrypted${index}" width="6" height="6" patternUnits="userSpaceOnUse">` +
        `<rect width="6" height="6" class="${colour}"/><circle cx="1.5" cy="1.5" r="1.1" class="dot"/>` +
        '<circle cx="4.5" cy="4.5" r="1.1" class="dot"/></pattern>',
    );
  }
  return `<defs>${definitions.join('')}</defs>`;
}
