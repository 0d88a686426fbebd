import { type DiskExtent, isLamellaError, type LamellaError, readsAsZeroes } from 'lamella';
import { type CommandDefinition, defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import type { Session } from '../../command-line/session.js';
import { shownLocation } from '../../messages/open-failure.js';
import {
  assertOneNaming,
  type CommonSettings,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  OUTPUT,
  onlyOperand,
  readSize,
} from '../common-options.js';
import { type OpenImage, openImage } from '../open-image.js';

/** Settings of `map`. */
export interface MapSettings extends CommonSettings {
  start?: number;
  length?: number;
}

/** What `map` consists of. */
export const mapDefinition: CommandDefinition<MapSettings> = {
  name: 'map',
  summary: 'List where the data of an image and its backing chain are',
  operands: 'FILE',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    {
      short: 's',
      long: 'start-offset',
      takesValue: true,
      metavar: 'OFFSET',
      help: 'first byte to look at',
      apply(settings, value) {
        settings.start = readSize(value, 'start offset');
      },
    },
    {
      short: 'l',
      long: 'max-length',
      takesValue: true,
      metavar: 'LENGTH',
      help: 'how many bytes to look at',
      apply(settings, value) {
        settings.length = readSize(value, 'max length');
      },
    },
    FORCE_SHARE,
    OUTPUT,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    assertOneNaming(settings);
    const { format, imageOpts, forceShare } = settings;
    const image = await openImage(session, { text, format, imageOpts }, { forceShare });
    const { disk } = image;
    try {
      const json = settings.output === 'json';
      const offset = Math.min(settings.start ?? 0, disk.size);
      const length = Math.min(settings.length ?? disk.size, disk.size - offset);
      session.out(json ? '[' : HEADING);
      let first = true;
      for await (const extent of disk.extents({ offset, length })) {
        if (json) {
          session.out(`${first ? '' : ',\n'}${jsonRow(extent)}`);
        } else if (extent.kind === 'data') {
          session.out(humanRow(extent, image));
        } else if (extent.kind === 'compressed') {
          throw new Failure(NO_OFFSET, {
            hint: 'Use --output json, or lamella map --html FILE: they tell of those, too.',
          });
        }
        first = false;
      }
      if (json && first) {
        session.out(nothingFrom(settings.start ?? 0));
      }
      session.out(json ? ']\n' : '');
    } catch (error) {
      throw isLamellaError(error, 'CORRUPT') ? unreadable(session, error, disk.format) : error;
    } finally {
      await disk.close();
    }
    return 0;
  },
};

/** What is damaged is told on a line of its own. */
function unreadable(session: Session, { problem }: LamellaError, format: string): Failure {
  if (format === 'qed') {
    return new Failure('Could not read file metadata: Invalid argument');
  }
  session.error(`${format}: Image is corrupt: ${problem}\n`);
  return new Failure('Could not read file metadata: Input/output error');
}

/** What is said of a range in which there is nothing. */
function nothingFrom(start: number): string {
  return `{ "start": ${start}, "length": 0, "depth": 0, "present": false, "zero": false, "data": false, "compressed": false}`;
}

/** `map`. */
export const map = defineCommand(mapDefinition);

const NO_OFFSET = 'File contains external, encrypted or compressed clusters.';
const HEADING = `${'Offset'.padEnd(16)}${'Length'.padEnd(16)}${'Mapped to'.padEnd(16)}File\n`;

function humanRow({ offset, length, hostOffset, layer }: DiskExtent, image: OpenImage): string {
  const { storage, dataFile } = image.layers[layer ?? 0] ?? {};
  const location = shownLocation((dataFile ?? storage)?.location ?? '');
  if (hostOffset === undefined) {
    throw new Failure(NO_OFFSET, {
      hint: 'Use --output json, or lamella map --html FILE: they tell of those, too.',
    });
  }
  return `${[offset, length, hostOffset].map((value) => hex(value).padEnd(16)).join('')}${location}\n`;
}

/** C's `%#x`: zero has no prefix. */
function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

function jsonRow(extent: DiskExtent): string {
  const { offset, length, kind, layer, depth, hostOffset, preallocated } = extent;
  const zero = readsAsZeroes(extent);
  const fields = [
    `"start": ${offset}`,
    `"length": ${length}`,
    `"depth": ${depth}`,
    `"present": ${layer !== undefined}`,
    `"zero": ${zero}`,
    `"data": ${!zero || preallocated === true}`,
    `"compressed": ${kind === 'compressed'}`,
    ...(hostOffset === undefined ? [] : [`"offset": ${hostOffset}`]),
  ];
  return `{ ${fields.join(', ')}}`;
}
