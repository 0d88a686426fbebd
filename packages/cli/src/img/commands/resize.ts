import { isLamellaError, type Preallocation } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure, wrongUsage } from '../../command-line/failure.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  type CommonSettings,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  QUIET,
  readImageSize,
} from '../common-options.js';
import { openImage } from '../open-image.js';
import { progressOf } from '../progress.js';

const MODES: readonly Preallocation[] = ['off', 'metadata', 'falloc', 'full'];
const SECTOR = 512;

interface Settings extends CommonSettings {
  shrink?: boolean;
  preallocation?: Preallocation;
}

/** `resize`. */
export const resize = defineCommand<Settings>({
  name: 'resize',
  summary: 'Change the size of an image',
  operands: 'FILE [+-]SIZE',
  lastIsOperand: true,
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    {
      long: 'preallocation',
      takesValue: true,
      metavar: 'MODE',
      help: 'space to reserve for new bytes: off, metadata, falloc or full',
      apply(settings, value) {
        const mode = MODES.find((name) => name === value);
        if (mode === undefined) {
          throw new Failure(`Invalid preallocation mode '${value}'`);
        }
        settings.preallocation = mode;
      },
    },
    QUIET,
    {
      long: 'shrink',
      takesValue: false,
      help: 'allow a smaller size, which loses what is behind it',
      apply(settings) {
        settings.shrink = true;
      },
    },
    OBJECT,
  ],
  async run(session, words, operands) {
    const [text, change, ...more] = operands;
    if (text === undefined || change === undefined || more.length > 0) {
      throw wrongUsage('Expecting image file name and size');
    }
    assertOneNaming(words);
    const { format, imageOpts, preallocation, shrink, quiet } = words;
    const { sign, bytes } = readChange(change);
    const { disk } = await openImage(session, { text, format, imageOpts }, { writable: true });
    const progress = progressOf(session, { quiet }, { title: 'resize' });
    try {
      const size = sign === 0 ? bytes : disk.size + sign * bytes;
      if (size <= 0) {
        throw new Failure('New image size must be positive');
      }
      if (size < disk.size && (preallocation ?? 'off') !== 'off') {
        throw new Failure('Preallocation can only be used for growing images');
      }
      if (size < disk.size && shrink !== true) {
        throw new Failure(SHRINK_REFUSED);
      }
      if (disk.openLayers[0]?.image.clusterSize !== 1 && size % SECTOR !== 0) {
        throw new Failure(
          disk.format === 'qed'
            ? 'Invalid image size specified'
            : `The new size must be a multiple of ${SECTOR}`,
        );
      }
      await disk.resize(size, {
        preallocation,
        signal: session.signal,
        onProgress: progress.update,
      });
      await disk.flush();
      progress.finish();
    } catch (error) {
      progress.end();
      throw isLamellaError(error) ? new Failure(problemText(error), { cause: error }) : error;
    } finally {
      await disk.close();
    }
    if (quiet !== true) {
      session.out('Image resized.\n');
    }
    return 0;
  },
});

const SHRINK_REFUSED =
  'Use the --shrink option to perform a shrink operation.\n' +
  "warning: Shrinking an image will delete all data beyond the shrunken image's end. " +
  'Before performing such an operation, make sure there is no important data there.';

/** The size, or how it is to change: the last word of `resize`, which may begin with a sign. */
function readChange(text: string): { readonly sign: -1 | 0 | 1; readonly bytes: number } {
  const sign = text.startsWith('+') ? 1 : text.startsWith('-') ? -1 : 0;
  const digits = sign === 0 ? text : text.slice(1);
  return { sign, bytes: readImageSize(digits) };
}
