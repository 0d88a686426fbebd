import { KIND_TEXTS, type Kind } from './extent-kind.js';
import { escapeMarkup, shorten } from './markup.js';
import { layerClass, PALETTE_SIZE } from './palette.js';
import { fillOf } from './patterns.js';
import type { Picture } from './picture.js';
import { hiddenBytes, kindsIn } from './totals.js';

const SWATCH = 22;
const HEIGHT = 15;
const LINE = 26;
/** Width of a letter: labels are set in a face of equal widths. */
const LETTER = 7.3;

/** A legend, and where it ends. */
export interface Legend {
  readonly markup: string;
  readonly end: number;
}

interface Item {
  /** Attributes of the swatch. */
  readonly fill: string;
  readonly label: string;
}

/** What the colours and the textures mean: those that are in the picture. */
export function drawLegend(picture: Picture, x: number, y: number, width: number): Legend {
  const items = [...layerItems(picture), ...kindItems(picture)];
  const parts: string[] = [];
  let [left, top] = [x, y];
  for (const { fill, label } of items) {
    const needed = SWATCH + 8 + [...label].length * LETTER + 22;
    if (left > x && left + needed > x + width) {
      left = x;
      top += LINE;
    }
    parts.push(
      `<rect class="track" x="${left}" y="${top}" width="${SWATCH}" height="${HEIGHT}"/>` +
        `<rect ${fill} x="${left}" y="${top}" width="${SWATCH}" height="${HEIGHT}"/>` +
        `<rect class="edge" x="${left}" y="${top}" width="${SWATCH}" height="${HEIGHT}"/>` +
        `<text class="label" x="${left + SWATCH + 8}" y="${top + 12}">${escapeMarkup(label)}</text>`,
    );
    left += Math.ceil(needed);
  }
  return { markup: `<g class="legend">${parts.join('')}</g>`, end: top + LINE };
}

function layerItems({ layers }: Picture): readonly Item[] {
  return layers.slice(0, PALETTE_SIZE).map(({ number, location }) => {
    const others = layers
      .filter((layer) => layer.number % PALETTE_SIZE === number && layer.number !== number)
      .map((layer) => layer.number);
    const name = location.split('/').at(-1) ?? location;
    const more = others.length === 0 ? '' : `, and ${short(others)}`;
    return {
      fill: `class="${layerClass(number)}"`,
      label: `data in ${number}  ${shorten(name, 32)}${more}`,
    };
  });
}

function short(numbers: readonly number[]): string {
  return numbers.length > 4 ? `${numbers.slice(0, 3).join(', ')}, …` : numbers.join(', ');
}

function kindItems(picture: Picture): readonly Item[] {
  const kinds = kindsIn(picture).filter((kind) => kind !== 'data');
  const hidden = picture.layers.some((layer) => hiddenBytes(picture, layer) > 0);
  return [
    ...kinds.map((kind) => ({
      fill: fillOf(kind, layerOf(picture, kind)),
      label: KIND_TEXTS[kind],
    })),
    ...(hidden ? [{ fill: fillOf('data', 0, 'hidden'), label: 'hidden by a layer above' }] : []),
    {
      fill: 'fill="none"',
      label:
        picture.layers.length > 1 || picture.missing !== undefined
          ? 'unallocated: shows the layer below'
          : 'unallocated',
    },
  ];
}

/** The first layer that has something of a kind, for its colour. */
function layerOf({ layers }: Picture, kind: Kind): number {
  return layers.find(({ own }) => own.total(undefined, kind) > 0)?.number ?? 0;
}
