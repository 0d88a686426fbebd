import { type CompareResult, compareDisks, type Disk, isLamellaError } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import type { ProgressDisplay, Session } from '../../command-line/session.js';
import { problemText } from '../../messages/problem.js';
import {
  type CommonSettings,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  PROGRESS,
  QUIET,
  SOURCE_CACHE,
  sourceCacheMode,
} from '../common-options.js';
import { openImage } from '../open-image.js';
import { progressOf } from '../progress.js';

/** Exit codes that scripts know. */
const EXIT = { same: 0, different: 1, open: 2, read: 4 } as const;

interface Settings extends CommonSettings {
  secondFormat?: string;
  strict?: boolean;
}

/** `compare`. */
export const compare = defineCommand<Settings>({
  name: 'compare',
  summary: 'Tell whether two images have the same content',
  operands: 'FILE1 FILE2',
  settings: () => ({}),
  options: [
    { ...FORMAT, long: 'a-format', help: 'format of the first image' },
    {
      short: 'F',
      long: 'b-format',
      takesValue: true,
      metavar: 'FMT',
      help: 'format of the second image',
      apply(settings, value) {
        settings.secondFormat = value;
      },
    },
    IMAGE_OPTS,
    SOURCE_CACHE,
    PROGRESS,
    QUIET,
    {
      short: 's',
      long: 'strict',
      takesValue: false,
      help: 'different sizes and different allocation count as well',
      apply(settings) {
        settings.strict = true;
      },
    },
    FORCE_SHARE,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const [first, second, ...more] = operands;
    if (first === undefined || second === undefined || more.length > 0) {
      throw new Failure('Expecting two image file names', { usage: true });
    }
    if (settings.imageOpts === true && (settings.format ?? settings.secondFormat) !== undefined) {
      throw new Failure('--image-opts and --format are mutually exclusive', {
        exitCode: EXIT.open,
      });
    }
    const { imageOpts, forceShare } = settings;
    const line = progressOf(session, settings, { title: 'compare' });
    let result: CompareResult;
    try {
      const options = {
        forceShare,
        cache: sourceCacheMode(settings.sourceCache, EXIT.open),
        exitCode: EXIT.open,
      };
      const left = await openImage(
        session,
        { text: first, format: settings.format, imageOpts },
        options,
      );
      await using _ = left.disk;
      const right = await openImage(
        session,
        { text: second, format: settings.secondFormat, imageOpts },
        options,
      );
      await using __ = right.disk;
      result = await compareOpen(left.disk, right.disk, settings, line, session);
    } finally {
      line.end();
    }
    return result.difference === 'none' ? EXIT.same : EXIT.different;
  },
});

async function compareOpen(
  left: Disk,
  right: Disk,
  { strict, quiet }: Settings,
  line: ProgressDisplay,
  session: Session,
): Promise<CompareResult> {
  try {
    const { signal } = session;
    const common = Math.min(left.size, right.size);
    let warned = quiet === true;
    const warn = (): void => {
      if (!warned) {
        session.out('Warning: Image size mismatch!\n');
        warned = true;
      }
    };
    const result = await compareDisks(left, right, {
      strict,
      signal,
      onProgress(progress) {
        if (progress.done > common) {
          warn();
        }
        line.update(progress);
      },
    });
    if (result.longer && result.difference !== 'size') {
      warn();
    }
    if (quiet !== true) {
      session.out(verdict(result));
    }
    return result;
  } catch (error) {
    if (!isLamellaError(error)) {
      throw error;
    }
    const { offset, location } = error;
    throw new Failure(
      `Error while reading offset ${offset ?? 0} of ${location}: ${problemText(error)}`,
      { exitCode: EXIT.read, cause: error },
    );
  }
}

function verdict({ difference, offset }: CompareResult): string {
  switch (difference) {
    case 'none':
      return 'Images are identical.\n';
    case 'size':
      return 'Strict mode: Image size mismatch!\n';
    case 'allocation':
      return `Strict mode: Offset ${offset} block status mismatch!\n`;
    case 'content':
      return `Content mismatch at offset ${offset}!\n`;
  }
}
