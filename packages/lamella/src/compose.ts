import {
  type ChainOptions,
  type ChainResolver,
  closeLayers,
  LamellaError,
  type Layer,
  type OpenChain,
  type OptionValues,
  type Passphrase,
} from '@lamella/core';
import type { ImageCreator } from './image-creator.js';

/** One layer of a chain to compose. */
export interface ComposePart {
  /** A path, a `scheme:` location or a `json:` name. */
  readonly location: string;
  /** Format; found by content if not given, needed to make the image. */
  readonly format?: string | undefined;
  /** Make the image first. Only the top part can be made; it must not exist yet. */
  readonly create?: boolean | undefined;
  /** Where the data file of an image is, whatever the image says; see `ChainOptions.dataFile`. */
  readonly dataFile?: string | undefined;
  /** Size in bytes of an image to be made; that of the layer below by default. */
  readonly size?: number | undefined;
  /** Create options of an image to be made. */
  readonly options?: OptionValues | undefined;
  /** Passphrase of an encrypted image. */
  readonly passphrase?: Passphrase | undefined;
}

type Options = Pick<
  ChainOptions,
  | 'references'
  | 'maxDepth'
  | 'cacheSize'
  | 'dataFilesBeside'
  | 'writable'
  | 'forceShare'
  | 'cache'
  | 'passphrases'
>;

/**
 * Opens the parts of a chain, from the bottom up so that a new top layer can take its size from below.
 * On failure everything that was opened is closed.
 */
export async function composeLayers(
  parts: readonly ComposePart[],
  options: Options,
  resolver: ChainResolver,
  creator: ImageCreator,
): Promise<OpenChain> {
  const [top, ...rest] = parts;
  if (top === undefined) {
    throw new LamellaError('INVALID_ARGUMENT', 'a chain needs at least one part');
  }
  const made = rest.find((part) => part.create === true);
  if (made !== undefined) {
    throw new LamellaError('INVALID_ARGUMENT', 'only the top part of a chain can be made', {
      location: made.location,
      hint: 'Make lower layers with lamella.create first.',
    });
  }
  const writable = options.writable ?? top.create === true;
  const opened: Layer[] = [];
  let missing: OpenChain['missing'];
  try {
    for (const part of rest.toReversed()) {
      const bottom = opened.length === 0;
      const lower = await openPart(part, opened, { ...options, writable: false }, resolver);
      missing = bottom ? lower.missing : missing;
      opened.unshift(...lower.layers);
    }
    const below = [...opened];
    const upper = await openTop(top, opened, { ...options, writable }, resolver, creator);
    opened.unshift(...upper.layers);
    return { layers: [...upper.layers, ...below], missing: missing ?? upper.missing };
  } catch (error) {
    await closeLayers(opened).catch(() => undefined);
    throw error;
  }
}

async function openTop(
  top: ComposePart,
  below: readonly Layer[],
  options: Options,
  resolver: ChainResolver,
  creator: ImageCreator,
): Promise<OpenChain> {
  if (top.create === true) {
    await makePart(top, below[0], creator);
  }
  try {
    return await openPart(top, below, options, resolver);
  } catch (error) {
    if (top.create === true) {
      await creator.remove(top.location).catch(() => undefined);
    }
    throw error;
  }
}

async function openPart(
  part: ComposePart,
  below: readonly Layer[],
  options: Options,
  resolver: ChainResolver,
): Promise<OpenChain> {
  const { format, passphrase, dataFile } = part;
  const topOnly = below.length > 0;
  const chain = await resolver.open(
    part.location,
    { ...options, format, passphrase, dataFile, topOnly },
    below,
  );
  return topOnly ? { layers: chain.layers, missing: undefined } : chain;
}

async function makePart(
  part: ComposePart,
  below: Layer | undefined,
  creator: ImageCreator,
): Promise<void> {
  if (part.format === undefined) {
    throw new LamellaError('INVALID_ARGUMENT', 'making an image needs its format', {
      location: part.location,
    });
  }
  await creator.create(part.location, {
    format: part.format,
    size: part.size ?? below?.image.size,
    options: part.options,
    passphrase: part.passphrase,
  });
}
