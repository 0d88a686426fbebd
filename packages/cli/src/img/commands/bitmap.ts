import { type BitmapStore, isLamellaError } from 'lamella';
import { type CommandOption, defineCommand } from '../../command-line/command.js';
import { causeOf, Failure } from '../../command-line/failure.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  type CommonSettings,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  readSize,
} from '../common-options.js';
import { mergeFrom } from '../copy-bitmaps.js';
import { type OpenImage, openImage } from '../open-image.js';

type ActionName = 'add' | 'remove' | 'clear' | 'enable' | 'disable' | 'merge';

interface Action {
  readonly name: ActionName;
  /** For `merge`: the other bitmap. */
  readonly source: string;
}

interface Settings extends CommonSettings {
  readonly actions: Action[];
  removeAll?: boolean;
  granularity?: number | undefined;
  sourceFile?: string;
  sourceFormat?: string;
}

const NOTHING_TO_DO =
  'Need at least one of --add, --remove, --clear, --enable, --disable, or --merge';

/** `bitmap`. */
export const bitmap = defineCommand<Settings>({
  name: 'bitmap',
  summary: 'Change the dirty bitmaps inside an image',
  operands: 'FILE BITMAP',
  settings: () => ({ actions: [] }),
  options: [
    FORMAT,
    IMAGE_OPTS,
    action('add', 'make the bitmap, recording from now on'),
    action('remove', 'remove the bitmap'),
    {
      long: 'remove-all',
      takesValue: false,
      help: 'remove every bitmap',
      apply(settings) {
        settings.removeAll = true;
      },
    },
    action('clear', 'forget what was recorded'),
    action('enable', 'start recording'),
    action('disable', 'stop recording'),
    {
      ...action('merge', 'add what another bitmap has recorded'),
      takesValue: true,
      metavar: 'SOURCE',
    },
    {
      short: 'b',
      long: 'source-file',
      takesValue: true,
      metavar: 'FILE',
      help: 'image with the bitmaps to merge; this one by default',
      apply(settings, value) {
        settings.sourceFile = value;
      },
    },
    {
      short: 'F',
      long: 'source-format',
      takesValue: true,
      metavar: 'FMT',
      help: 'format of that image',
      apply(settings, value) {
        settings.sourceFormat = value;
      },
    },
    {
      short: 'g',
      long: 'granularity',
      takesValue: true,
      metavar: 'SIZE',
      help: 'bytes of the disk for each bit of a new bitmap',
      apply(settings, value) {
        // 0 stands for the default.
        settings.granularity = readSize(value, 'granularity') || undefined;
      },
    },
    OBJECT,
  ],
  async run(session, settings, operands) {
    const [text, name, ...more] = operands;
    const { actions, removeAll = false, format, imageOpts } = settings;
    if (actions.length === 0 && !removeAll) {
      throw new Failure(NOTHING_TO_DO);
    }
    if (settings.granularity !== undefined && !actions.some((one) => one.name === 'add')) {
      throw new Failure('granularity only supported with --add');
    }
    if (settings.sourceFormat !== undefined && settings.sourceFile === undefined) {
      throw new Failure('-F only supported with -b');
    }
    if (settings.sourceFile !== undefined && !actions.some((one) => one.name === 'merge')) {
      throw new Failure('Merge bitmap source file only supported with --merge');
    }
    if (text === undefined || (name === undefined && !removeAll) || more.length > 0) {
      throw new Failure('Expecting filename and bitmap name');
    }
    assertOneNaming(settings);
    const image = await openImage(session, { text, format, imageOpts }, { writable: true });
    try {
      const source =
        settings.sourceFile === undefined
          ? undefined
          : await openImage(session, { text: settings.sourceFile, format: settings.sourceFormat });
      try {
        await change(image, source, name ?? '', settings);
      } finally {
        await source?.disk.close();
      }
    } finally {
      await image.disk.close();
    }
    return 0;
  },
});

function action(name: ActionName, help: string): CommandOption<Settings> {
  return {
    long: name,
    takesValue: false,
    help,
    apply(settings, value) {
      settings.actions.push({ name, source: value });
    },
  };
}

async function change(
  image: OpenImage,
  source: OpenImage | undefined,
  name: string,
  settings: Settings,
): Promise<void> {
  const store = image.layers[0].image.bitmaps;
  if (settings.removeAll === true) {
    for (const known of store?.list() ?? []) {
      await store?.remove(known.name);
    }
  }
  for (const { name: verb, source: other } of settings.actions) {
    try {
      if (store === undefined) {
        throw new Failure(
          verb === 'add'
            ? `Can't store persistent bitmaps to #block: Operation not supported`
            : `Dirty bitmap '${name}' not found`,
        );
      }
      await perform(store, verb, name, other, source, settings);
    } catch (error) {
      if (error instanceof Failure || isLamellaError(error)) {
        const why = error instanceof Failure ? error.message : problemText(error);
        const misspelt = error instanceof Failure ? error.misspelt : undefined;
        throw new Failure(`Operation ${verb} on bitmap ${name} failed: ${why}`, {
          cause: causeOf(error),
          misspelt,
        });
      }
      throw error;
    }
  }
}

async function perform(
  store: BitmapStore,
  verb: ActionName,
  name: string,
  other: string,
  source: OpenImage | undefined,
  { granularity }: Settings,
): Promise<void> {
  if (verb !== 'add') {
    assertKnown(store, name);
  }
  switch (verb) {
    case 'add':
      return addBitmap(store, name, granularity);
    case 'remove':
      return store.remove(name);
    case 'clear':
      return store.clear(name);
    case 'enable':
      return store.setRecording(name, true);
    case 'disable':
      return store.setRecording(name, false);
    case 'merge':
      if (source === undefined) {
        assertKnown(store, other);
        return store.merge(name, [other]);
      }
      return mergeFrom(source, other, store, name);
  }
}

async function addBitmap(
  store: BitmapStore,
  name: string,
  granularity: number | undefined,
): Promise<void> {
  if (name === '') {
    throw new Failure('Bitmap name cannot be empty');
  }
  if (store.list().some((known) => known.name === name)) {
    throw new Failure(`Bitmap already exists: ${name}`);
  }
  if (
    granularity !== undefined &&
    (granularity < 512 || !Number.isInteger(Math.log2(granularity)))
  ) {
    throw new Failure('Granularity must be power of 2 and at least 512');
  }
  try {
    await store.add({ name, granularity });
  } catch (error) {
    throw isLamellaError(error, 'UNSUPPORTED')
      ? new Failure(`Can't make bitmap '${name}' persistent in '#block': ${problemText(error)}`)
      : error;
  }
}

function assertKnown(store: BitmapStore, name: string): void {
  const found = store.list().find((known) => known.name === name);
  if (found === undefined) {
    throw new Failure(`Dirty bitmap '${name}' not found`, {
      misspelt: { word: name, known: store.list().map((known) => known.name) },
    });
  }
}
