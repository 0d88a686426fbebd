import { readableSize } from '../terminal/sizes.js';
import { type Columns, columnStart, type NotedExtent } from './columns.js';
import { KIND_TEXTS } from './extent-kind.js';
import type { Picture } from './picture.js';

/** A part of a bar, and the text that is shown over it. */
export interface HoverArea {
  /** First column. */
  readonly from: number;
  /** Column behind the last. */
  readonly to: number;
  readonly text: string;
}

/**
 * What is told of a bar's columns: guest range, and for each extent kind, layer and host offset. Columns that
 * one extent fills are told as one.
 */
export function hoverAreas(picture: Picture, columns: Columns): readonly HoverArea[] {
  const areas: HoverArea[] = [];
  const { scale } = columns;
  for (let column = 0; column < scale.columns; ) {
    const [only] = columns.count(column) === 1 ? columns.noted(column) : [];
    let to = column + 1;
    if (columns.count(column) === 0) {
      while (to < scale.columns && columns.count(to) === 0) {
        to += 1;
      }
    } else {
      while (to < scale.columns && columns.count(to) === 1 && columns.noted(to)[0] === only) {
        to += 1;
      }
    }
    areas.push({ from: column, to, text: textOf(picture, columns, column, to) });
    column = to;
  }
  return areas;
}

function textOf(picture: Picture, columns: Columns, from: number, to: number): string {
  const start = columnStart(columns.scale, from);
  const end = columnStart(columns.scale, to);
  const noted = columns.noted(from);
  const more = columns.count(from) - noted.length;
  const lines = noted.map((extent) => extentText(picture, extent));
  const rest = more > 0 ? [`and ${more} more extent${more === 1 ? '' : 's'}`] : [];
  const nothing = lines.length === 0 ? ['nothing here'] : [];
  return [`guest ${range(start, end)}`, ...lines, ...rest, ...nothing].join('\n');
}

function range(start: number, end: number): string {
  return `${hex(start)}–${hex(end)} (${readableSize(start)} + ${readableSize(end - start)})`;
}

function extentText(picture: Picture, extent: NotedExtent): string {
  const { offset, length, kind, layer, hostOffset } = extent;
  const host = hostOffset === undefined ? '' : `, host offset ${hex(hostOffset)}`;
  const who =
    kind === 'missing' || layer === undefined ? (picture.missing ?? '') : layerName(picture, layer);
  return `${KIND_TEXTS[kind]}: ${hex(offset)}–${hex(offset + length)} (${readableSize(length)}), ${who}${host}`;
}

function layerName({ layers }: Picture, number: number): string {
  const layer = layers[number];
  return `layer ${number} ${layer?.dataFile ?? layer?.location ?? ''}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
