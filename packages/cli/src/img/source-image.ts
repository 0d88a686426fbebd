import { type CacheMode, Disk, isLamellaError, type Layer } from 'lamella';
import type { CommandOption } from '../command-line/command.js';
import { Failure } from '../command-line/failure.js';
import { parseOptionList } from '../command-line/option-list.js';
import type { Session } from '../command-line/session.js';
import { problemText } from '../messages/problem.js';
import { assertOneNaming, type CommonSettings } from './common-options.js';
import { type OpenImage, openImage } from './open-image.js';

/** Settings of commands that can read a snapshot instead of the present state. */
export interface SnapshotSettings {
  /** `-l`. */
  snapshot?: string;
}

/** The option that names the snapshot. */
export function snapshotOption(short: string, long: string): CommandOption<SnapshotSettings> {
  return {
    short,
    long,
    takesValue: true,
    metavar: 'SNAPSHOT',
    help: 'read a snapshot: its name or identifier, or snapshot.id=…,snapshot.name=…',
    apply(settings, value) {
      if (value.startsWith('snapshot.')) {
        readSelection(value);
      }
      settings.snapshot = value;
    },
  };
}

/** An image to read from, or a snapshot inside it. */
export interface OpenSource {
  readonly image: OpenImage;
  /** What to read. */
  readonly disk: Disk;
  /** Closes the image, and what belongs to the snapshot. */
  close(): Promise<void>;
}

/**
 * Opens an image for reading, at the snapshot that is named.
 *
 * @throws Failure
 */
export async function openSource(
  session: Session,
  text: string,
  settings: CommonSettings & SnapshotSettings,
  cache?: CacheMode,
): Promise<OpenSource> {
  assertOneNaming(settings);
  const { format, imageOpts, forceShare } = settings;
  const image = await openImage(session, { text, format, imageOpts }, { forceShare, cache });
  if (settings.snapshot === undefined) {
    return { image, disk: image.disk, close: () => image.disk.close() };
  }
  try {
    return await openSnapshot(image, settings.snapshot);
  } catch (error) {
    await image.disk.close();
    throw error;
  }
}

async function openSnapshot(image: OpenImage, wanted: string): Promise<OpenSource> {
  const [top, ...below] = image.layers;
  const { snapshots } = top.image;
  if (snapshots === undefined) {
    throw new Failure(
      `Failed to load snapshot: Block format '${top.format}' used by device '' does not support temporarily loading internal snapshots`,
    );
  }
  const found = snapshots.list().find(selector(wanted));
  if (found === undefined) {
    throw new Failure("Failed to load snapshot: Can't find snapshot", {
      misspelt: { word: wanted, known: snapshots.list().map(({ name }) => name) },
    });
  }
  try {
    const frozen = await snapshots.open({ id: found.id });
    const layer: Layer = { ...top, image: frozen, writable: false };
    const disk = new Disk([layer], below, image.disk.missingBacking);
    return {
      image,
      disk,
      async close() {
        await frozen.close();
        await image.disk.close();
      },
    };
  } catch (error) {
    throw isLamellaError(error)
      ? new Failure(`Failed to load snapshot: ${problemText(error)}`, { cause: error })
      : error;
  }
}

type Known = { readonly id: string; readonly name: string };

/** @throws Failure for keys that select nothing, before any image is opened */
function readSelection(wanted: string): ReadonlyMap<string, string | undefined> {
  const keys = new Map(parseOptionList(wanted).map(({ name, value }) => [name, value]));
  for (const key of keys.keys()) {
    if (key !== 'snapshot.id' && key !== 'snapshot.name') {
      throw new Failure(`Invalid parameter '${key}'\nFailed in parsing snapshot param '${wanted}'`);
    }
  }
  return keys;
}

function selector(wanted: string): (snapshot: Known) => boolean {
  if (!wanted.startsWith('snapshot.')) {
    return ({ id, name }) => id === wanted || name === wanted;
  }
  const keys = readSelection(wanted);
  const [id, name] = [keys.get('snapshot.id'), keys.get('snapshot.name')];
  return (known) =>
    (id === undefined || known.id === id) && (name === undefined || known.name === name);
}
