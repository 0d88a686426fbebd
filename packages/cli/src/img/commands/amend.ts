import {
  type Image,
  isLamellaError,
  type OptionSchema,
  type OptionValue,
  PLACE_OF_BACKING,
} from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { Failure, wrongUsage } from '../../command-line/failure.js';
import { asksForHelp } from '../../command-line/option-list.js';
import type { Session } from '../../command-line/session.js';
import { amendProblem } from '../../messages/amend-problem.js';
import {
  assertOneNaming,
  CACHE,
  type CommonSettings,
  cacheMode,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  OPTIONS,
  PROGRESS,
  QUIET,
} from '../common-options.js';
import { createSchema, type OptionMap, optionHelp, readOptions } from '../format-options.js';
import { driverOf, openImage } from '../open-image.js';
import { progressOf } from '../progress.js';

interface Settings extends CommonSettings {
  force?: boolean;
}

/** `amend`. */
export const amend = defineCommand<Settings>({
  name: 'amend',
  summary: "Change options of an image's format",
  operands: 'FILE',
  settings: () => ({}),
  options: [
    OPTIONS,
    FORMAT,
    IMAGE_OPTS,
    CACHE,
    {
      long: 'force',
      takesValue: false,
      help: 'allow changes that may lose the key of the data',
      apply(settings) {
        settings.force = true;
      },
    },
    PROGRESS,
    QUIET,
    OBJECT,
  ],
  async run(session, settings, operands) {
    const { options, format, imageOpts } = settings;
    if (options === undefined) {
      throw wrongUsage('Must specify options (-o)');
    }
    if (asksForHelp(options) && format !== undefined) {
      const schema = driverOf(
        session,
        format,
        (name) => `Unknown file format '${name}'`,
      ).amendOptions;
      session.out(`Amend options for '${format}':\n${optionHelp(amendable(format, schema))}`);
      return 0;
    }
    const [text, ...others] = operands;
    if (text === undefined || others.length > 0) {
      throw new Failure('Expecting one image file name');
    }
    assertOneNaming(settings);
    const { disk, layers } = await openImage(
      session,
      { text, format, imageOpts },
      {
        writable: true,
        cache: cacheMode(settings.cache),
      },
    );
    const line = progressOf(session, settings, { title: 'amend', unit: 'steps' });
    try {
      const [top] = layers;
      const driver = driverOf(session, top.format);
      const schema = amendable(top.format, driver.amendOptions);
      if (asksForHelp(options)) {
        session.out(`Amend options for '${top.format}':\n${optionHelp(schema)}`);
        return 0;
      }
      const creatable = createSchema(driver);
      const values = readOptions(options, { ...schema, ...PLACE_OF_BACKING }, (name) =>
        Object.hasOwn(creatable, name)
          ? `Invalid parameter '${name}'\nThis option is only supported for image creation`
          : `Invalid parameter '${name}'`,
      );
      const { amend: change } = top.image;
      if (change === undefined) {
        throw new Failure(noAmendment(top.format));
      }
      const { size, rest } = readValues(values, settings, session, top.image);
      if (rest.size > 0) {
        await change.call(top.image, Object.fromEntries(rest), {
          signal: session.signal,
          onProgress: line.update,
        });
      }
      if (size !== undefined) {
        await disk.resize(size);
      }
      line.finish();
    } catch (error) {
      line.end();
      throw isLamellaError(error)
        ? new Failure(amendProblem(error, options), { cause: error })
        : error;
    } finally {
      await disk.close();
    }
    return 0;
  },
});

/** What `-o` can change. */
function amendable(format: string, schema: OptionSchema | undefined): OptionSchema {
  if (schema === undefined) {
    throw new Failure(noAmendment(format));
  }
  // It is an option of the command: `--force`.
  const { 'encrypt.force': _force, ...named } = schema;
  return named;
}

function noAmendment(format: string): string {
  return `Format driver '${format}' does not support option amendment`;
}

/** Options that change a key name secrets; the library wants the secrets themselves. */
const SECRETS: readonly string[] = ['encrypt.new-secret', 'encrypt.old-secret'];

function readValues(
  values: OptionMap,
  { force }: Settings,
  { secrets }: Session,
  { references: { backing }, encrypted }: Pick<Image, 'references' | 'encrypted'>,
): { readonly size: number | undefined; readonly rest: ReadonlyMap<string, OptionValue> } {
  const rest = new Map<string, OptionValue>();
  for (const [name, value] of values) {
    if (name === 'backing_file' || name === 'backing_fmt') {
      const present = name === 'backing_file' ? backing?.location : backing?.format;
      if (value !== (present ?? '')) {
        throw new Failure("Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
      }
      continue;
    }
    if (name !== 'size') {
      const secret = SECRETS.includes(name) && value !== '';
      rest.set(name, secret ? new TextDecoder().decode(secrets.get(String(value))) : value);
    }
  }
  assertKeyChange(rest);
  if (force === true && encrypted === true) {
    rest.set('encrypt.force', true);
  }
  const size = values.get('size');
  return { size: size === undefined ? undefined : Number(size), rest };
}

/** The library unlocks by the old passphrase when a key is added; QEMU wants none there. */
function assertKeyChange(values: ReadonlyMap<string, OptionValue>): void {
  const state = values.get('encrypt.state');
  if (state === 'active' && values.has('encrypt.new-secret') && values.has('encrypt.old-secret')) {
    throw new Failure("'old-secret' must not be given when activating keyslots");
  }
  if (
    state === 'inactive' &&
    values.has('encrypt.iter-time') &&
    !values.has('encrypt.new-secret')
  ) {
    throw new Failure("'iter-time' must not be given when erasing keyslots");
  }
}
