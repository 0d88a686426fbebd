import { basename } from 'node:path';
import type { Disk, DiskExtent } from 'lamella';

const COLOURS = [36, 33, 35, 32, 34, 31];
const WIDTH = 64;

const colourful =
  process.stdout.isTTY === true &&
  (process.env.NO_COLOR === undefined || process.env.NO_COLOR === '');

function paint(text: string, layer: number | undefined): string {
  return colourful && layer !== undefined
    ? `\u001b[${COLOURS[layer % COLOURS.length]}m${text}\u001b[0m`
    : text;
}

function mebibytes(bytes: number): string {
  const value = bytes / 1024 ** 2;
  return `${Number.isInteger(value) ? value : value.toFixed(3)} MiB`;
}

/** A bar for each layer, top first, and the list of extents: who holds what. */
export async function drawChain(disk: Disk): Promise<string> {
  const extents: DiskExtent[] = [];
  for await (const extent of disk.extents()) {
    extents.push(extent);
  }
  const lines: string[] = [];
  for (const [layer, { format, location, size }] of disk.layers.entries()) {
    const label = `${layer === 0 ? '' : '└ '}${basename(location)}`;
    lines.push(
      `  ${label.padEnd(16)} ${format.padEnd(6)} ${mebibytes(size).padStart(8)}  ` +
        `${bar(extents, layer, disk.size)}`,
    );
  }
  lines.push('', `  ${'from'.padStart(13)} ${'length'.padStart(13)}  what`);
  for (const extent of extents) {
    lines.push(
      `  ${mebibytes(extent.offset).padStart(13)} ${mebibytes(extent.length).padStart(13)}  ` +
        describe(disk, extent),
    );
  }
  return `${lines.join('\n')}\n`;
}

function describe(disk: Disk, { kind, layer, hostOffset }: DiskExtent): string {
  const holder = layer === undefined ? undefined : disk.layers[layer];
  const where = holder === undefined ? 'nobody' : basename(holder.location);
  const at = kind === 'data' && hostOffset !== undefined ? ` at byte ${hostOffset}` : '';
  return paint(`${kind} in ${where}${at}`, layer);
}

/** What a layer answers for, as a strip: █ data, ░ zeroes, blank where another layer answers. */
function bar(extents: readonly DiskExtent[], layer: number, size: number): string {
  const cells = Array.from({ length: WIDTH }, () => ' ');
  for (const { offset, length, kind, layer: holder } of extents) {
    if (holder === layer) {
      const first = Math.floor((offset / size) * WIDTH);
      const last = Math.max(first + 1, Math.round(((offset + length) / size) * WIDTH));
      cells.fill(kind === 'zero' ? '░' : '█', first, last);
    }
  }
  return `▕${paint(cells.join(''), layer)}▏`;
}
