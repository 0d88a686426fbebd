import type { Awaitable, BlockDriver, OpenOptions, OptionValues } from '@lamella/core';

/** A driver class that can be made without arguments, or a function that makes a driver. */
export type DriverSource = (new () => BlockDriver) | (() => BlockDriver);

/** An image with known content. */
export interface SampleImage {
  /** The bytes of the image file. */
  readonly image: Uint8Array;
  /** What its disk holds, byte for byte. */
  readonly content: Uint8Array;
  /** What the disk below holds, for an image that shows one. */
  readonly backing?: Uint8Array | undefined;
}

/** How to come by an image with known content. */
export interface SampleSource {
  /** Part of the checks' names: `empty`, `with a hole`. */
  readonly name: string;
  /**
   * Makes the image; called once.
   *
   * @throws whatever keeps it from being made; the checks that need it fail with that
   */
  make(): Awaitable<SampleImage>;
}

/** How the suite makes images with the driver itself. */
export interface CreationManifest {
  /** Create options of all images, beside the defaults. */
  readonly options?: OptionValues | undefined;
  /**
   * Bytes of their disks; by default about twenty clusters, at least 256 KiB and at most 4 MiB. Checks that need more
   * clusters than that makes are skipped.
   */
  readonly size?: number | undefined;
  /** Names of create options that are not tried by themselves, such as those that name another file. */
  readonly untried?: readonly string[] | undefined;
  /** Key of images that are to be encrypted. */
  readonly passphrase?: string | undefined;
}

/**
 * What an image of the driver can do. `true`: it can, and every check of it runs. `false`: it can't, and an
 * image that offers it fails. Not mentioned: it is tested where the image offers it.
 */
export interface Abilities {
  /** Is told by its first bytes (`BlockDriver.probe`); `false` where the magic number stands elsewhere. */
  readonly probe?: boolean | undefined;
  /** Takes writes (`Image.place`). */
  readonly write?: boolean | undefined;
  /** Zeroes by metadata (`Image.zero`). */
  readonly zero?: boolean | undefined;
  /** Drops clusters (`Image.discard`). */
  readonly discard?: boolean | undefined;
  /** Names backing files and shows them (`BlockDriver.supportsBacking`). */
  readonly backing?: boolean | undefined;
  /** Changes size (`Image.resize`). */
  readonly resize?: boolean | undefined;
  /** Looks for damage (`Image.check`). */
  readonly check?: boolean | undefined;
  /** Tells how large a file will be (`BlockDriver.measure`). */
  readonly measure?: boolean | undefined;
}

/** What the conformance suite has to know of a driver and of one kind of its images. */
export interface ConformanceManifest {
  /** What to call this kind of image; the driver's format by default. */
  readonly name?: string | undefined;
  /** How to make images; left out for a driver that only reads. */
  readonly create?: CreationManifest | undefined;
  /** Images with known content. At least one where the driver does not make images. */
  readonly samples?: readonly SampleSource[] | undefined;
  /** What images can do. */
  readonly abilities?: Abilities | undefined;
  /** Beside what the suite decides: values of the driver's open options, a passphrase. */
  readonly open?: Pick<OpenOptions, 'options' | 'passphrase'> | undefined;
  /** The driver takes any content, as raw does, and recognises what nobody else wants. */
  readonly takesAnything?: boolean | undefined;
  /** An image that was not closed cleanly, which opening for writing repairs. */
  readonly unclean?: SampleSource | undefined;
  /** Seed of everything random; printed with failures. The same in every run by default. */
  readonly seed?: number | undefined;
  /**
   * How many random lives, damages and crashes to try, 1 being the usual number. Below 1, single changes and
   * faults are tried on the richest image only, and the header is not damaged byte by byte: for a second kind of images that shares most of its code.
   */
  readonly effort?: number | undefined;
}
