import { isLamellaError, type SnapshotStore } from 'lamella';
import { type CommandOption, defineCommand } from '../../command-line/command.js';
import { causeOf, Failure, wrongUsage } from '../../command-line/failure.js';
import type { Session } from '../../command-line/session.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  type CommonSettings,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  onlyOperand,
  QUIET,
} from '../common-options.js';
import { type OpenImage, openImage, warnIfGuessed } from '../open-image.js';
import { snapshotTable } from '../snapshot-table.js';

type Action = 'list' | 'apply' | 'create' | 'delete';

interface Settings extends CommonSettings {
  action?: Action;
  snapshot?: string;
}

/** `snapshot`. */
export const snapshot = defineCommand<Settings>({
  name: 'snapshot',
  summary: 'List, create, apply and delete snapshots inside an image',
  operands: 'FILE',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    FORCE_SHARE,
    QUIET,
    action('l', 'list', false, 'list the snapshots; done if nothing else is asked'),
    action('a', 'apply', true, 'make the disk as it was'),
    action('c', 'create', true, 'keep the present state'),
    action('d', 'delete', true, 'forget a snapshot'),
    OBJECT,
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    assertOneNaming(settings);
    const { format, imageOpts, forceShare, snapshot: name = '' } = settings;
    const wanted = settings.action ?? 'list';
    const image = await openImage(
      session,
      { text, format, imageOpts },
      { forceShare, writable: wanted !== 'list' },
    );
    try {
      await ACTIONS[wanted](image, name, session);
    } finally {
      await image.disk.close();
    }
    return 0;
  },
});

function action(
  short: string,
  name: Action,
  takesValue: boolean,
  help: string,
): CommandOption<Settings> {
  return {
    short,
    long: name,
    takesValue,
    ...(takesValue ? { metavar: 'SNAPSHOT' } : {}),
    help,
    apply(settings, value) {
      if (settings.action !== undefined) {
        throw wrongUsage("Cannot mix '-l', '-a', '-c', '-d'");
      }
      settings.action = name;
      settings.snapshot = value;
    },
  };
}

const ACTIONS: Readonly<
  Record<Action, (image: OpenImage, name: string, session: Session) => Promise<void>>
> = {
  async list({ layers }, _name, session) {
    const all = layers[0].image.snapshots?.list() ?? [];
    if (all.length > 0) {
      session.out(`Snapshot list:\n${snapshotTable(all).join('\n')}\n`);
    }
  },
  async create(image, name) {
    await attempt(`Could not create snapshot '${name}'`, async () => {
      await storeOf(image, 'Operation not supported').create({ name });
    });
  },
  async apply(image, name, session) {
    if (image.layers[0].image.snapshots === undefined && image.name.format === undefined) {
      // qemu-img looks for snapshots in the file below, and opens the image anew for that.
      warnIfGuessed(session, image.text, image.layers[0]);
    }
    await attempt(`Could not apply snapshot '${name}'`, async () => {
      const store = storeOf(image, 'Block driver does not support snapshots');
      const all = store.list();
      const found =
        all.find((known) => known.id === name) ?? all.find((known) => known.name === name);
      if (found === undefined) {
        throw new Failure('Failed to load snapshot: No such file or directory', {
          misspelt: { word: name, known: all.map((known) => known.name) },
        });
      }
      await store.apply({ id: found.id });
    });
  },
  async delete(image, name) {
    await attempt(`Could not delete snapshot '${name}'`, async () => {
      const store = storeOf(image, 'snapshot not found');
      const all = store.list();
      const found = all.find((known) => known.name === name);
      if (found === undefined) {
        throw new Failure('snapshot not found', {
          misspelt: { word: name, known: all.map((known) => known.name) },
        });
      }
      await store.delete({ id: found.id });
    });
  },
};

function storeOf({ layers }: OpenImage, otherwise: string): SnapshotStore {
  const { snapshots } = layers[0].image;
  if (snapshots === undefined) {
    throw new Failure(otherwise);
  }
  return snapshots;
}

async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Failure) {
      const { misspelt } = error;
      throw new Failure(`${what}: ${error.message}`, { cause: causeOf(error), misspelt });
    }
    throw isLamellaError(error)
      ? new Failure(`${what}: ${problemText(error)}`, { cause: error })
      : error;
  }
}
