import type {
  BlockDriver,
  ChainOptions,
  CompareOptions,
  Logger,
  MeasureOptions,
  OptionValues,
} from '@lamella/core';
import type { DependencyContainer, InjectionToken } from 'tsyringe';

/** How a {@link Lamella} is set up. */
export interface LamellaOptions {
  /**
   * Parent container: drivers, storages and codecs that are registered there by now are used beside the
   * built-in ones. tsyringe's global container by default.
   */
  readonly container?: DependencyContainer | undefined;
  /** Where warnings go; dropped by default. */
  readonly logger?: Logger | undefined;
}

/** How a chain of given parts is opened. */
export interface ComposeOptions
  extends Pick<
    ChainOptions,
    | 'references'
    | 'maxDepth'
    | 'cacheSize'
    | 'dataFilesBeside'
    | 'forceShare'
    | 'cache'
    | 'passphrases'
  > {
  /** Open the top layer for writing; by default exactly when it is made by this call. */
  readonly writable?: boolean | undefined;
}

/** How two images are opened and compared. */
export interface CompareImageOptions
  extends CompareOptions,
    Pick<
      ChainOptions,
      'format' | 'references' | 'maxDepth' | 'cacheSize' | 'forceShare' | 'cache' | 'passphrases'
    > {
  /** Format of the second image; `format` is that of the first. */
  readonly otherFormat?: string | undefined;
}

/** What image {@link Lamella.measure} is to measure. */
export interface MeasureImageOptions
  extends MeasureOptions,
    Pick<
      ChainOptions,
      'references' | 'maxDepth' | 'cacheSize' | 'forceShare' | 'cache' | 'passphrases' | 'snapshot'
    > {
  /** Format of the new image. */
  readonly format: string;
  /** Format of the source; found by its content if not given. */
  readonly sourceFormat?: string | undefined;
}

/** How a throw-away overlay is made. */
export interface OverlayOptions {
  /** Most bytes of memory for what is written to it; no limit by default. */
  readonly maxBytes?: number | undefined;
  /** Format of the layer in memory; `qcow2` by default. */
  readonly format?: string | undefined;
  /** Size of the overlay's disk in bytes; that of the disk below by default. */
  readonly size?: number | undefined;
  /** Create options of that format. */
  readonly options?: OptionValues | undefined;
}

/** How a disk is looked at through another driver. */
export interface FilterOptions {
  /** The driver: a filter, or a format whose image lies on the disk. */
  readonly format: string;
  /** Its open options. */
  readonly options?: OptionValues | undefined;
  /** Whether writes will be made; by default exactly when the disk takes writes. */
  readonly writable?: boolean | undefined;
}

/** A driver class that a container can make. */
export type BlockDriverClass = Exclude<InjectionToken<BlockDriver>, string | symbol>;
