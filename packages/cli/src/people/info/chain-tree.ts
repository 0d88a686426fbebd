import type { Colours } from '../terminal/colours.js';
import { plainText } from '../terminal/plain-text.js';
import { readableSize } from '../terminal/sizes.js';
import type { ChainEntry, ImageFacts } from './describe-chain.js';
import { bitmapLines, snapshotLine } from './image-card.js';

/** Layers from which on the tree goes straight down, so that it fits on a screen. */
const DEEPEST_INDENT = 12;

/**
 * A backing chain as a tree: the image itself at the top, what belongs to each layer hanging from it, and its
 * backing file as the last branch.
 */
export function chainTree(entries: readonly ChainEntry[], colours: Colours): string {
  const lines: string[] = [];
  for (const [depth, entry] of entries.entries()) {
    const indent = '   '.repeat(Math.min(Math.max(0, depth - 1), DEEPEST_INDENT));
    const branch = depth === 0 ? '' : `${indent}${colours.dim('└─ ')}`;
    const inside = depth === 0 ? '' : `${indent}   `;
    const isLast = depth === entries.length - 1;
    lines.push(`${branch}${headline(entry, depth, colours)}`);
    const facts = entry.kind === 'image' ? factLines(entry.facts, colours) : [entry.problem];
    for (const [index, fact] of facts.entries()) {
      const ends = isLast && index === facts.length - 1;
      lines.push(`${inside}${colours.dim(ends ? '╰╴' : '├╴')} ${fact}`);
    }
  }
  lines.push('', total(entries, colours));
  return `${lines.join('\n')}\n`;
}

function headline(entry: ChainEntry, depth: number, colours: Colours): string {
  if (entry.kind === 'missing') {
    const { location, format } = entry.file;
    const kind = format === undefined ? '' : `  ${plainText(format)}`;
    const state = entry.absent ? 'missing' : "can't be opened";
    return colours.red(`✗ ${colours.bold(plainText(location))}${kind}  ${state}`);
  }
  const { location, format, size, file } = entry.facts;
  const used = file?.allocated === undefined ? '' : `${readableSize(file.allocated)} on disk`;
  const facts = [colours.green(format), `${readableSize(size)} virtual`, colours.yellow(used)];
  return (
    `${colours.cyan(`${depth}`)} ${colours.bold(plainText(location))}  ` +
    facts.filter((text) => text !== '').join(colours.dim(' · '))
  );
}

function factLines(facts: ImageFacts, colours: Colours): readonly string[] {
  const { dataFile, dataFileNode, snapshots, bitmaps, encrypted, unclean, details } = facts;
  const lines: string[] = [];
  const say = (name: string, text: string): void => {
    lines.push(`${colours.dim(name.padEnd(9))} ${text}`);
  };
  if (dataFile !== undefined) {
    const { allocated } = dataFileNode ?? {};
    const used = allocated === undefined ? '' : ` · ${readableSize(allocated)} on disk`;
    const state = dataFileNode === undefined ? colours.red(' · missing') : used;
    say('data file', `${plainText(dataFile.location)}${state}`);
  }
  if (encrypted) {
    say('encrypted', colours.yellow('yes'));
  }
  if (unclean) {
    say('state', colours.red('was not closed cleanly'));
  }
  if (details?.corrupt === true) {
    say('state', colours.red('marked as corrupt'));
  }
  for (const snapshot of snapshots) {
    say('snapshot', snapshotLine(snapshot));
  }
  for (const line of bitmapLines(bitmaps)) {
    say('bitmap', line);
  }
  return lines;
}

function total(entries: readonly ChainEntry[], colours: Colours): string {
  let bytes = 0;
  let layers = 0;
  for (const entry of entries) {
    if (entry.kind === 'image') {
      layers += 1;
      bytes += (entry.facts.file?.allocated ?? 0) + (entry.facts.dataFileNode?.allocated ?? 0);
    }
  }
  const broken = layers < entries.length ? colours.red(", and a file that can't be opened") : '';
  const many = `${layers} layer${layers === 1 ? '' : 's'}`;
  return `${colours.bold(many)}, ${readableSize(bytes)} on disk in all${broken}`;
}
