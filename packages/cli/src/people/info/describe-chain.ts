import {
  type BitmapInfo,
  type ImageDetails,
  isLamellaError,
  type Layer,
  type SnapshotInfo,
} from 'lamella';
import { causeOf, Failure } from '../../command-line/failure.js';
import type { Session } from '../../command-line/session.js';
import {
  type ChildNode,
  childNodes,
  fullName,
  type InfoSettings,
} from '../../img/commands/info.js';
import { cacheMode } from '../../img/common-options.js';
import type { ImageArgument } from '../../img/image-name.js';
import { openImage } from '../../img/open-image.js';
import { problemText } from '../../messages/problem.js';

/** A file that an image names. */
export interface NamedFile {
  /** As written in the image. */
  readonly reference: string;
  /** Where that leads. */
  readonly location: string;
  readonly format: string | undefined;
}

/** What is known of one image. */
export interface ImageFacts {
  readonly location: string;
  readonly format: string;
  /** Bytes of the guest's disk. */
  readonly size: number;
  readonly clusterSize: number;
  readonly encrypted: boolean;
  readonly unclean: boolean;
  readonly details: ImageDetails | undefined;
  /** The image's own file. */
  readonly file: ChildNode | undefined;
  readonly backing: NamedFile | undefined;
  readonly dataFile: NamedFile | undefined;
  /** The data file's own facts; undefined if there is none, or if it is missing. */
  readonly dataFileNode: ChildNode | undefined;
  readonly snapshots: readonly SnapshotInfo[];
  /** The bitmaps, or why they can't be told. */
  readonly bitmaps: readonly BitmapInfo[] | string;
}

/** A layer, or what is wrong with one. */
export type ChainEntry =
  | { readonly kind: 'image'; readonly facts: ImageFacts }
  | {
      readonly kind: 'missing';
      readonly file: NamedFile;
      /** Whether it does not exist; it can't be opened otherwise. */
      readonly absent: boolean;
      /** Why it can't be looked at. */
      readonly problem: string;
    };

/**
 * Looks at an image and, if wanted, at all those below it, each alone. What can't be opened below the first
 * ends the list and is part of it.
 *
 * @throws Failure if the image itself does not open
 */
export async function describeChain(
  session: Session,
  text: string,
  settings: InfoSettings,
): Promise<readonly ChainEntry[]> {
  const entries: ChainEntry[] = [];
  const seen = new Set<string>();
  let argument: ImageArgument | undefined = {
    text,
    format: settings.format,
    imageOpts: settings.imageOpts,
  };
  let named: NamedFile | undefined;
  while (argument !== undefined) {
    try {
      const { facts, identity } = await look(session, argument, settings);
      if (seen.has(identity)) {
        throw new Failure(
          'it is part of the chain already: the images name each other in a circle',
        );
      }
      seen.add(identity);
      entries.push({ kind: 'image', facts });
      named = settings.chain === true ? facts.backing : undefined;
      argument = named === undefined ? undefined : { text: named.location, format: named.format };
    } catch (error) {
      if (named === undefined || !(error instanceof Failure)) {
        throw error;
      }
      const absent = isLamellaError(causeOf(error), 'NOT_FOUND');
      entries.push({ kind: 'missing', file: named, absent, problem: problemOf(error) });
      argument = undefined;
    }
  }
  return entries;
}

function problemOf(failure: Failure): string {
  const cause = causeOf(failure);
  return isLamellaError(cause) ? problemText(cause) : failure.message;
}

async function look(
  session: Session,
  argument: ImageArgument,
  { forceShare, cache }: InfoSettings,
): Promise<{ readonly facts: ImageFacts; readonly identity: string }> {
  const { disk, layers } = await openImage(session, argument, {
    forceShare,
    cache: cacheMode(cache),
    metadataOnly: true,
    alone: true,
    references: 'skip',
  });
  try {
    const [layer] = layers;
    const { identity, location } = layer.storage;
    return { facts: await factsOf(session, layer), identity: identity ?? location };
  } finally {
    await disk.close();
  }
}

async function factsOf(session: Session, layer: Layer): Promise<ImageFacts> {
  const { image, format, storage, dataFile } = layer;
  const { backing, dataFile: namedData } = image.references;
  const [file, dataFileNode] = await childNodes(layer);
  return {
    location: storage.location,
    format,
    size: image.size,
    clusterSize: image.clusterSize,
    encrypted: image.encrypted === true,
    unclean: image.unclean === true,
    details: image.details,
    file,
    backing:
      backing === undefined
        ? undefined
        : {
            reference: backing.location,
            location: fullName(backing.location, layer, session),
            format: backing.format,
          },
    dataFile:
      namedData === undefined && dataFile === undefined
        ? undefined
        : {
            reference: namedData?.location ?? dataFile?.location ?? '',
            location: dataFile?.location ?? namedData?.location ?? '',
            format: 'raw',
          },
    dataFileNode,
    snapshots: image.snapshots?.list() ?? [],
    bitmaps: bitmapsOf(layer),
  };
}

function bitmapsOf({ image }: Layer): readonly BitmapInfo[] | string {
  try {
    return image.bitmaps?.list() ?? [];
  } catch (error) {
    if (isLamellaError(error)) {
      return problemText(error);
    }
    throw error;
  }
}
