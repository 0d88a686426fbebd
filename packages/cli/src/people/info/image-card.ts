import type { BitmapInfo, DetailValue, ImageDetails, SnapshotInfo } from 'lamella';
import { detailLines } from '../../img/commands/info.js';
import type { Colours } from '../terminal/colours.js';
import { plainText } from '../terminal/plain-text.js';
import { exactSize, readableSize } from '../terminal/sizes.js';
import type { ChainEntry, ImageFacts, NamedFile } from './describe-chain.js';

/** Columns of the names of facts. */
const NAME_WIDTH = 16;
/** Cells of the bar that shows how full an image is. */
const BAR_WIDTH = 20;

/** Details that have lines of their own. */
const TOLD_OTHERWISE: ReadonlySet<string> = new Set(['bitmaps', 'data-file', 'corrupt']);

/** All that is known of an image, a fact on a line. */
export function imageCard(entry: ChainEntry, colours: Colours): string {
  if (entry.kind === 'missing') {
    return `${colours.red(`✗ ${plainText(entry.file.location)}`)}\n  ${plainText(entry.problem)}\n`;
  }
  const { facts } = entry;
  const rows: (readonly [name: string, value: string])[] = [
    ['format', colours.bold(facts.format)],
    ['virtual size', colours.bold(exactSize(facts.size))],
    ['on disk', usage(facts, colours)],
    ...(facts.clusterSize > 1 ? [['cluster size', readableSize(facts.clusterSize)] as const] : []),
    ...(facts.backing === undefined
      ? []
      : [['backing file', namedFile(facts.backing, colours)] as const]),
    ...dataFileRows(facts, colours),
    ...(facts.encrypted ? [['encrypted', colours.yellow('yes')] as const] : []),
    ...stateRows(facts, colours),
  ];
  const lines = [
    colours.bold(colours.cyan(plainText(facts.location))),
    ...rows.map(([name, value]) => `  ${colours.dim(name.padEnd(NAME_WIDTH))}${value}`),
    ...section('snapshots', facts.snapshots.map(snapshotLine), colours),
    ...section('bitmaps', bitmapLines(facts.bitmaps), colours),
    ...section(`${facts.format} details`, ownDetails(facts.details), colours),
  ];
  return `${lines.join('\n')}\n`;
}

/** What the files take on the disk, and how that compares with the guest's disk. */
function usage({ file, dataFileNode, size }: ImageFacts, colours: Colours): string {
  if (file?.allocated === undefined) {
    return colours.dim('unknown');
  }
  const allocated = file.allocated + (dataFileNode?.allocated ?? 0);
  if (size === 0) {
    return readableSize(allocated);
  }
  const share = allocated / size;
  const cells = Math.min(BAR_WIDTH, Math.ceil(share * BAR_WIDTH));
  const bar = `${'█'.repeat(cells)}${colours.dim('░'.repeat(BAR_WIDTH - cells))}`;
  const percent = share > 0 && share < 0.001 ? '<0.1%' : `${Number((share * 100).toFixed(1))}%`;
  return `${colours.bold(readableSize(allocated))}  ${colours.cyan(bar)}  ${percent} of the virtual size`;
}

/** A name as written, and where it leads if that is somewhere else. */
function namedFile({ reference, location, format }: NamedFile, colours: Colours): string {
  const leads = location === reference ? '' : colours.dim(` → ${plainText(location)}`);
  return `${plainText(reference)}${format === undefined ? '' : ` (${plainText(format)})`}${leads}`;
}

function dataFileRows(
  { dataFile, dataFileNode }: ImageFacts,
  colours: Colours,
): readonly (readonly [string, string])[] {
  if (dataFile === undefined) {
    return [];
  }
  const missing = dataFileNode === undefined ? colours.red(' missing') : '';
  return [['data file', `${namedFile({ ...dataFile, format: undefined }, colours)}${missing}`]];
}

function stateRows(
  { unclean, details }: ImageFacts,
  colours: Colours,
): readonly (readonly [string, string])[] {
  const problems = [
    ...(unclean ? ['was not closed cleanly'] : []),
    ...(details?.corrupt === true ? ['marked as corrupt'] : []),
  ];
  return problems.map((problem) => ['state', colours.red(problem)] as const);
}

/** Identifier, name, date and what was saved. */
export function snapshotLine({ id, name, date, diskSize, vmStateSize }: SnapshotInfo): string {
  const state = vmStateSize > 0 ? `, ${readableSize(vmStateSize)} of machine state` : '';
  const when = `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return `${plainText(id)}  ${plainText(name)}  ${when}  ${readableSize(diskSize)}${state}`;
}

/** Name, granularity and state of each. */
export function bitmapLines(bitmaps: readonly BitmapInfo[] | string): readonly string[] {
  if (typeof bitmaps === 'string') {
    return [`can't be read: ${plainText(bitmaps)}`];
  }
  return bitmaps.map(({ name, granularity, recording, inconsistent }) => {
    const state = inconsistent ? 'inconsistent' : recording ? 'recording' : 'not recording';
    return `${plainText(name)}  ${readableSize(granularity)} a bit, ${state}`;
  });
}

function ownDetails(details: ImageDetails | undefined): readonly string[] {
  const own: Record<string, DetailValue> = {};
  for (const [name, value] of Object.entries(details ?? {})) {
    if (!TOLD_OTHERWISE.has(name)) {
      own[name] = value;
    }
  }
  return detailLines(own, '').map(plainText);
}

function section(title: string, lines: readonly string[], colours: Colours): readonly string[] {
  return lines.length === 0
    ? []
    : [`  ${colours.dim(title)}`, ...lines.map((line) => `    ${line}`)];
}
