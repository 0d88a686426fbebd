import type { Image, OptionValue, References } from '../driver/index.js';
import type { Storage } from '../storage/index.js';

/** What is known of one layer of a disk. */
export interface LayerInfo {
  /** Format name: `qcow2`. */
  readonly format: string;
  /** The file or other storage, as it was named or resolved. */
  readonly location: string;
  /** Size of this layer's disk in bytes; may differ from its neighbours'. */
  readonly size: number;
  /** Whether this layer takes writes. Only the top one can. */
  readonly writable: boolean;
  /** Properties of the image under the names of its create options. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Files that the image names, as written, whether or not they were opened. */
  readonly references: References;
  /** Where the data file that was opened for this layer lives, if it has one. */
  readonly dataFile?: string | undefined;
}

/** An open image with its storage: the chain's own record of a layer. */
export interface Layer {
  /** Format name: `qcow2`. */
  readonly format: string;
  /** Where the image lives; closed together with it. */
  readonly storage: Storage;
  /** Where the image keeps the guest's data, if not in `storage`; closed together with it. */
  readonly dataFile?: Storage | undefined;
  /** The image. */
  readonly image: Image;
  /** Whether it was opened for writing. */
  readonly writable: boolean;
  /** Whether writes have to be durable, mapping included, when they are done; false by default. */
  readonly writeThrough?: boolean | undefined;
  /** Whether the storage belongs to another layer, which closes it; false by default. */
  readonly borrowsStorage?: boolean | undefined;
}

/** The public view of a layer. */
export function describeLayer({ format, storage, dataFile, image, writable }: Layer): LayerInfo {
  return {
    format,
    location: storage.location,
    size: image.size,
    writable: writable && image.place !== undefined,
    options: image.options,
    references: image.references,
    ...(dataFile === undefined ? {} : { dataFile: dataFile.location }),
  };
}

/**
 * Closes images and then their storages, all of them even if some fail.
 *
 * @throws the first failure
 */
export async function closeLayers(layers: readonly Layer[]): Promise<void> {
  const failures: unknown[] = [];
  for (const { image, dataFile, storage, borrowsStorage } of layers) {
    for (const closable of borrowsStorage === true ? [image] : [image, dataFile, storage]) {
      try {
        await closable?.close();
      } catch (error) {
        failures.push(error);
      }
    }
  }
  if (failures.length > 0) {
    throw failures[0];
  }
}
