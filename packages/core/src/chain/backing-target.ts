import type { Reference } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import type { StorageName, StorageRegistry } from '../storage/index.js';
import type { BackingName, ImageName } from './reference-name.js';

/** What the name of an image says of the layer below it. */
export interface NamedBacking {
  readonly name: BackingName;
  /** The caller said so, and no image: files that it names are not asked of the reference policy. */
  readonly trusted: boolean;
}

/** The file below an image, and how it is to be opened. */
export interface BackingTarget extends ImageName, StorageName {
  readonly trusted: boolean;
}

/** Knows what a reference in an image means. */
interface References {
  resolveReference(reference: Reference, namedBy: string): ImageName & StorageName;
}

/**
 * The reference to a layer below: as written in the image, or as the name above it says.
 *
 * @throws LamellaError `INVALID_ARGUMENT` when neither names a file
 */
export function mergedReference(
  reference: Reference | undefined,
  named: NamedBacking | undefined,
  namedBy: string,
  chain: readonly string[],
): Reference {
  const name = named === undefined || named.name === 'none' ? undefined : named.name;
  if (name?.location !== undefined) {
    return { location: name.location, format: name.format ?? reference?.format };
  }
  if (reference === undefined) {
    throw new LamellaError('INVALID_ARGUMENT', 'the image names no backing file', {
      location: namedBy,
      chain,
      hint: 'Name the file as `backing.file.filename`.',
    });
  }
  return { location: reference.location, format: name?.format ?? reference.format };
}

/** What is to be opened below an image: as the image says, except for what the name above it says. */
export function backingTarget(
  references: References,
  storages: StorageRegistry,
  layer: {
    readonly backing: Reference;
    readonly named: NamedBacking | undefined;
    readonly namedBy: string;
  },
): BackingTarget {
  const { backing, named, namedBy } = layer;
  if (named === undefined || named.name === 'none') {
    return { ...references.resolveReference(backing, namedBy), trusted: false };
  }
  const { name, trusted } = named;
  if (name.location !== undefined) {
    const { driver, location } = storages.resolve(name.location);
    return { ...name, driver, location, format: backing.format, trusted };
  }
  const target = references.resolveReference(backing, namedBy);
  return {
    ...target,
    options: name.options ?? target.options,
    dataFile: name.dataFile ?? target.dataFile,
    backing: name.backing ?? target.backing,
    trusted: false,
  };
}

/** Whether the caller says which file is below, so that no policy is asked. */
export function namesFile(named: NamedBacking | undefined): boolean {
  return named?.trusted === true && named.name !== 'none' && named.name.location !== undefined;
}

/** What is said of the layer below the one that was just opened; images say it in their references, too. */
export function namedFurther(
  name: BackingName | undefined,
  above: NamedBacking | undefined,
): NamedBacking | undefined {
  const byCaller = above !== undefined && above.name !== 'none' && above.name.backing === name;
  return name && { name, trusted: byCaller && above.trusted };
}

/** What a reference says of images further down, with locations that are relative to the image that has it. */
export function resolveBackingName(
  storages: StorageRegistry,
  name: BackingName | undefined,
  namedBy: string,
): BackingName | undefined {
  if (name === undefined || name === 'none') {
    return name;
  }
  const resolve = (location: string | undefined): string | undefined =>
    location === undefined
      ? undefined
      : storages.resolve(location).driver.resolve(location, namedBy);
  return {
    ...name,
    location: resolve(name.location),
    dataFile: resolve(name.dataFile),
    backing: resolveBackingName(storages, name.backing, namedBy),
  };
}
