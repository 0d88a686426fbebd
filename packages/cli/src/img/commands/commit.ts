import { resolve } from 'node:path';
import { ChainResolver, commitImage, isLamellaError } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  CACHE,
  type CommonSettings,
  cacheMode,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  onlyOperand,
  PROGRESS,
  QUIET,
  RATE_LIMIT,
} from '../common-options.js';
import { readImageName } from '../image-name.js';
import { imageOf, openImage, WORKING_DIRECTORY } from '../open-image.js';
import { paceOf } from '../pace.js';
import { progressOf } from '../progress.js';

interface Settings extends CommonSettings {
  base?: string;
  drop?: boolean;
}

/** Whether two names are one path, however they are written. */
function isSamePath(location: string, base: string | undefined): boolean {
  return base !== undefined && resolve(location) === resolve(base);
}

/** `commit`. */
export const commit = defineCommand<Settings>({
  name: 'commit',
  summary: 'Write what an image holds into its backing image',
  operands: 'FILE',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    CACHE,
    {
      short: 'b',
      long: 'base',
      takesValue: true,
      metavar: 'BASE',
      help: 'image of the chain to write into; implies -d',
      apply(settings, value) {
        settings.base = value;
        settings.drop = true;
      },
    },
    RATE_LIMIT,
    {
      short: 'd',
      long: 'drop',
      takesValue: false,
      help: 'leave the image as it is: it is not needed any more',
      apply(settings) {
        settings.drop = true;
      },
    },
    PROGRESS,
    QUIET,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    assertOneNaming(settings);
    const { format, imageOpts, quiet = false, drop = false } = settings;
    const cache = cacheMode(settings.cache);
    const { disk, layers } = await openImage(
      session,
      { text, format, imageOpts },
      {
        writable: true,
        cache,
      },
    );
    await disk.close();
    const [top, ...below] = layers;
    const depth =
      settings.base === undefined
        ? 1
        : 1 + below.findIndex(({ storage }) => isSamePath(storage.location, settings.base));
    if (settings.base !== undefined && depth === 0) {
      throw new Failure(`Did not find '${settings.base}' in the backing chain of '${text}'`);
    }
    const name = readImageName({ text, imageOpts, format }, session.secrets);
    const line = progressOf(session, settings, { title: 'commit' });
    try {
      if (below.length === 0) {
        throw new Failure('Image does not have a backing file', {
          hint: `Only overlays can be committed. To see the layers: lamella info --chain ${text}`,
        });
      }
      await commitImage(session.lamella.container.resolve(ChainResolver), imageOf(name), {
        format: name.format ?? top.format,
        keep: drop,
        depth,
        cache,
        passphrase: name.passphrase,
        passphrases: name.passphrases,
        dataFilesBeside: WORKING_DIRECTORY,
        pace: paceOf(settings.rate),
        signal: session.signal,
        onProgress: line.update,
      });
      line.finish();
    } catch (error) {
      line.end();
      throw isLamellaError(error) ? new Failure(problemText(error), { cause: error }) : error;
    }
    if (!quiet) {
      session.out('Image committed.\n');
    }
    return 0;
  },
});
