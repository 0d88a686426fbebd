import { VERSION } from '../../version.js';
import { readableSize } from '../terminal/sizes.js';
import { ticksOf } from './axis.js';
import { type Bar, drawBar, edge, type Share, stacked } from './bar.js';
import { type Columns, columnStart } from './columns.js';
import { KINDS } from './extent-kind.js';
import { hoverAreas } from './hover.js';
import { drawLegend } from './legend.js';
import { coordinate, escapeMarkup, shorten } from './markup.js';
import { layerClass, styleSheet } from './palette.js';
import { patternDefinitions } from './patterns.js';
import type { Picture, PictureLayer } from './picture.js';
import { heldBytes, hiddenBytes } from './totals.js';

const WIDTH = 1008;
const MARGIN = 24;
const CHART = WIDTH - 2 * MARGIN;
const AXIS_TOP = 96;
const ROWS_TOP = 116;
/** Layers from which on rows are lower. */
const MANY_LAYERS = 12;
/** Size of the square in a layer's colour. */
const BADGE = 12;
/** Widths of letters: of names, which are set in a face of equal widths, and most of other texts. */
const [TITLE_LETTER, NAME_LETTER, SMALL_LETTER] = [11, 7.95, 6.7];

/** A row of the picture. */
interface Row {
  /** Whose colour it has. */
  readonly layer: number | undefined;
  readonly name: string;
  readonly facts: string;
  readonly columns: Columns;
  readonly shares: (column: number) => readonly Share[];
  /** Byte behind the last of the row's disk. */
  readonly end: number;
}

/** The picture as an SVG document. */
export function drawSvg(picture: Picture): string {
  const rows = rowsOf(picture);
  const barHeight = picture.layers.length > MANY_LAYERS ? 18 : 36;
  const pitch = barHeight + 36;
  const rowsEnd = ROWS_TOP + rows.length * pitch;
  const legend = drawLegend(picture, MARGIN, rowsEnd + 10, CHART);
  const height = legend.end + 40;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeMarkup(`Where the data of ${picture.title} are`)}">` +
    `<style>${styleSheet()}</style>${patternDefinitions(picture.layers.length)}` +
    `<rect class="bg" width="${WIDTH}" height="${height}" rx="8"/>` +
    heading(picture) +
    axis(picture, rowsEnd - 14) +
    rows.map((row, index) => drawRow(picture, row, ROWS_TOP + index * pitch, barHeight)).join('') +
    legend.markup +
    footer(picture, height - 16) +
    '</svg>\n'
  );
}

function heading({ title, size, layers }: Picture): string {
  const held = layers.reduce((sum, layer) => sum + (layer.allocated ?? 0), 0);
  const [top] = layers;
  const facts = [
    top?.format ?? '',
    `${readableSize(size)} disk`,
    `${layers.length} layer${layers.length === 1 ? '' : 's'}`,
    `${readableSize(held)} on disk in all`,
  ];
  return (
    text(MARGIN, 38, 'title', shorten(title, Math.floor(CHART / TITLE_LETTER))) +
    text(MARGIN, 60, 'small faint', facts.join('  ·  ')) +
    right(60, 'small faint', 'offset on the guest’s disk')
  );
}

function axis({ scale }: Picture, bottom: number): string {
  const { offset, length } = scale;
  return ticksOf(scale)
    .map(({ position, label }, index, all) => {
      const x = length === 0 ? MARGIN : MARGIN + ((position - offset) / length) * CHART;
      const anchor = index === 0 ? 'start' : index === all.length - 1 ? 'end' : 'middle';
      return (
        `<path class="grid" d="M${coordinate(x)} ${AXIS_TOP}V${bottom}"/>` +
        `<text class="small faint" x="${coordinate(x)}" y="${AXIS_TOP - 6}" text-anchor="${anchor}">${escapeMarkup(label)}</text>`
      );
    })
    .join('');
}

function rowsOf(picture: Picture): readonly Row[] {
  const layers = picture.layers.map((layer) => layerRow(picture, layer));
  const { missing } = picture;
  if (missing !== undefined) {
    return [guestRow(picture), ...layers, missingRow(picture, missing)];
  }
  return layers.length === 1 ? layers : [guestRow(picture), ...layers];
}

/** The backing file that is not there: where it would be asked. */
function missingRow({ visible, size }: Picture, name: string): Row {
  return {
    layer: undefined,
    name,
    facts: 'backing file, missing',
    columns: visible,
    end: size,
    shares: (column) => [
      {
        kind: 'missing',
        layer: undefined,
        hidden: false,
        bytes: visible.bytes(column, undefined, 'missing'),
      },
    ],
  };
}

/** What the guest reads, in the colours of the layers that it comes from. */
function guestRow(picture: Picture): Row {
  const { visible, layers, size } = picture;
  const sources = [...layers.map(({ number }) => number), undefined];
  return {
    layer: undefined,
    name: 'What the guest reads',
    facts: 'by the layer that it comes from',
    columns: visible,
    end: size,
    shares: (column) =>
      stacked(
        sources.flatMap((layer) =>
          KINDS.map((kind) => ({
            kind,
            layer,
            hidden: false,
            bytes:
              (kind === 'missing') === (layer === undefined)
                ? visible.bytes(column, layer, kind)
                : 0,
          })),
        ),
      ),
  };
}

/** What a layer holds itself; paler where a layer above hides it. */
function layerRow(picture: Picture, layer: PictureLayer): Row {
  const { number, location, size, own, dataFile } = layer;
  return {
    name: `${number}  ${location}${dataFile === undefined ? '' : ` (data in ${dataFile})`}`,
    layer: number,
    facts: layerFacts(picture, layer),
    columns: own,
    end: size,
    shares: (column) =>
      stacked(
        KINDS.flatMap((kind) => {
          const shown = picture.visible.bytes(column, number, kind);
          const hidden = Math.max(0, own.bytes(column, undefined, kind) - shown);
          return [
            { kind, layer: number, hidden: false, bytes: shown },
            { kind, layer: number, hidden: true, bytes: hidden },
          ];
        }),
      ),
  };
}

function layerFacts(picture: Picture, layer: PictureLayer): string {
  const hidden = hiddenBytes(picture, layer);
  const facts = [
    layer.format,
    `${readableSize(layer.size)} disk`,
    `${readableSize(heldBytes(layer))} of data`,
    ...(hidden > 0 ? [`${readableSize(hidden)} of it hidden`] : []),
  ];
  return facts.join('  ·  ');
}

function drawRow(picture: Picture, row: Row, y: number, height: number): string {
  const { scale } = picture;
  const bar: Bar = {
    x: MARGIN,
    y: y + 20,
    width: CHART,
    height,
    columns: scale.columns,
    capacity: (column) => columnStart(scale, column + 1) - columnStart(scale, column),
    shares: row.shares,
  };
  const inside = Math.min(Math.max(0, row.end - scale.offset), scale.length);
  const width = scale.length === 0 ? CHART : (inside / scale.length) * CHART;
  return (
    `<g>${badge(row, y)}` +
    text(MARGIN + (row.layer === undefined ? 0 : BADGE + 7), y + 13, 'name over', nameOf(row)) +
    right(y + 13, 'small faint over', row.facts) +
    `<rect class="track" x="${bar.x}" y="${bar.y}" width="${coordinate(width)}" height="${height}"/>` +
    drawBar(bar) +
    `<rect class="edge row" x="${bar.x}" y="${bar.y}" width="${coordinate(width)}" height="${height}"/>` +
    hoverAreas(picture, row.columns)
      .map(({ from, to, text: said }) => {
        const x = edge(bar, from);
        return (
          `<rect class="hit" x="${coordinate(x)}" y="${bar.y}" width="${coordinate(edge(bar, to) - x)}" height="${height}">` +
          `<title>${escapeMarkup(said)}</title></rect>`
        );
      })
      .join('') +
    '</g>'
  );
}

function footer({ scale }: Picture, y: number): string {
  if (scale.length === 0) {
    return text(MARGIN, y, 'small faint', `lamella ${VERSION}  ·  the disk is empty`);
  }
  const each = scale.length / scale.columns;
  return text(
    MARGIN,
    y,
    'small faint',
    `lamella ${VERSION}  ·  a column is ${readableSize(each)} of the disk, filled as high as it holds data; a tint marks columns that hold less`,
  );
}

function badge({ layer }: Row, y: number): string {
  return layer === undefined
    ? ''
    : `<rect class="${layerClass(layer)}" x="${MARGIN}" y="${y + 2}" width="${BADGE}" height="${BADGE}"/>`;
}

function nameOf({ name, facts }: Row): string {
  const room = CHART - BADGE - 27 - facts.length * SMALL_LETTER;
  return shorten(name, Math.floor(room / NAME_LETTER));
}

function right(y: number, style: string, said: string): string {
  return `<text class="${style}" x="${MARGIN + CHART}" y="${y}" text-anchor="end">${escapeMarkup(said)}</text>`;
}

function text(x: number, y: number, style: string, said: string): string {
  return `<text class="${style}" x="${x}" y="${y}">${escapeMarkup(said)}</text>`;
}
