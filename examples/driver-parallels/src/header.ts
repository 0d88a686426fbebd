import { alignUp, LamellaError, readUint64, type Storage, viewOf } from '@lamella/core';

/** Unit of places and sizes in the header, bytes. */
export const SECTOR = 512;
/** Bytes from the start of the file. */
export const FIELD = {
  version: 16,
  heads: 20,
  cylinders: 24,
  clusterSectors: 28,
  entries: 32,
  sectors: 36,
  inUse: 44,
  dataSector: 48,
  flags: 52,
  extension: 56,
} as const;
/** Where the block allocation table (BAT) begins. */
export const BAT_OFFSET = 64;
/** Bytes of an entry of it. */
export const ENTRY_SIZE = 4;
/** {@link FIELD.inUse} while somebody has the image open for writing. */
export const IN_USE = 0x746f6e59;
/** {@link FIELD.inUse} of programs that know no format extensions, as this one, when the image is closed. */
export const CLOSED = 0;
/** Bit of {@link FIELD.flags}: nothing is in the image. */
export const EMPTY_FLAG = 1;

/** The two kinds of images, by their first 16 bytes. */
export const MAGICS = ['WithouFreSpacExt', 'WithoutFreeSpace'] as const;
/** `WithouFreSpacExt` counts places in clusters and may be of any size; `WithoutFreeSpace` counts sectors. */
export type Magic = (typeof MAGICS)[number];

const VERSION = 2;
/** Largest cluster that is taken, bytes. */
export const MAX_CLUSTER_SIZE = 256 * 1024 * 1024;
/** Most entries, so that the BAT takes at most 64 MiB of memory: 16 TiB in clusters of 1 MiB. */
export const MAX_ENTRIES = 16 * 1024 * 1024;
/** Most sectors of a `WithoutFreeSpace` image. */
export const MAX_OLD_SECTORS = 0xffffffff;

/** What the header of an image says, checked. */
export interface ParallelsHeader {
  /** Which kind of image it is. */
  readonly magic: Magic;
  /** Bytes of a cluster: a multiple of {@link SECTOR}, not always a power of two. */
  readonly clusterSize: number;
  /** Entries of the BAT. */
  readonly entries: number;
  /** Bytes of the guest's disk. */
  readonly size: number;
  /** Byte of the file at which clusters begin. */
  readonly dataStart: number;
  /** Somebody has it open for writing, or had and did not close it. */
  readonly inUse: boolean;
  /** It is marked as holding nothing. */
  readonly empty: boolean;
  /** It has a format extension, which this driver does not know. */
  readonly extended: boolean;
}

/** The kind of image that a head belongs to, if any. */
export function magicOf(head: Uint8Array): Magic | undefined {
  const text = String.fromCharCode(...head.subarray(0, FIELD.version));
  return MAGICS.find((magic) => magic === text);
}

/** Bytes of the file up to the end of the BAT. */
export function batEnd(entries: number): number {
  return BAT_OFFSET + entries * ENTRY_SIZE;
}

/**
 * Reads and checks the header. The file is known to hold the whole BAT afterwards.
 *
 * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`, `LIMIT_EXCEEDED`, `IO_ERROR`
 */
export async function readHeader(storage: Storage): Promise<ParallelsHeader> {
  const { location } = storage;
  const bytes = new Uint8Array(BAT_OFFSET);
  await storage.read(bytes, 0);
  const magic = magicOf(bytes);
  if (magic === undefined) {
    throw new LamellaError('WRONG_FORMAT', 'this is no Parallels image', { location, offset: 0 });
  }
  if (storage.size < BAT_OFFSET) {
    throw truncated('header', storage);
  }
  const view = viewOf(bytes);
  const field = (name: keyof typeof FIELD) => view.getUint32(FIELD[name], true);
  const version = field('version');
  if (version !== VERSION) {
    throw new LamellaError('UNSUPPORTED', `a Parallels image of version ${version}`, {
      location,
      offset: FIELD.version,
    });
  }
  const sectors = readUint64(view, FIELD.sectors, 'little', {
    name: 'the number of sectors',
    location,
  });
  const header: ParallelsHeader = {
    magic,
    clusterSize: field('clusterSectors') * SECTOR,
    entries: field('entries'),
    size: sectors * SECTOR,
    dataStart:
      field('dataSector') === 0
        ? alignUp(batEnd(field('entries')), SECTOR)
        : field('dataSector') * SECTOR,
    inUse: field('inUse') === IN_USE,
    empty: (field('flags') & EMPTY_FLAG) !== 0,
    extended: field('extension') !== 0 || view.getUint32(FIELD.extension + 4, true) !== 0,
  };
  checkGeometry(header, storage);
  if (magic === 'WithouFreSpacExt' && field('dataSector') === 0) {
    throw invalid('it does not say where clusters begin', FIELD.dataSector, storage);
  }
  return header;
}

function checkGeometry(header: ParallelsHeader, storage: Storage): void {
  const { magic, clusterSize, entries, size, dataStart } = header;
  if (clusterSize === 0) {
    throw invalid("a cluster can't have no bytes", FIELD.clusterSectors, storage);
  }
  if (clusterSize > MAX_CLUSTER_SIZE || entries > MAX_ENTRIES || !Number.isSafeInteger(size)) {
    throw new LamellaError(
      'LIMIT_EXCEEDED',
      `${entries} clusters of ${clusterSize} bytes for a disk of ${size} bytes are too many or too large`,
      { location: storage.location, offset: FIELD.clusterSectors },
    );
  }
  if (magic === 'WithoutFreeSpace' && size > MAX_OLD_SECTORS * SECTOR) {
    throw invalid(`an image of this kind can't have ${size} bytes`, FIELD.sectors, storage);
  }
  if (Math.ceil(size / clusterSize) > entries) {
    throw invalid(
      `${entries} clusters do not make a disk of ${size} bytes`,
      FIELD.entries,
      storage,
    );
  }
  const unaligned = magic === 'WithouFreSpacExt' && dataStart % clusterSize !== 0;
  if (dataStart < batEnd(entries) || unaligned) {
    throw invalid(`clusters can't begin at byte ${dataStart}`, FIELD.dataSector, storage);
  }
  if (batEnd(entries) > storage.size) {
    throw truncated('table of clusters', storage);
  }
}

/** The first sector of a new image. */
export function encodeHeader(
  header: Pick<ParallelsHeader, 'magic' | 'clusterSize' | 'entries' | 'size' | 'dataStart'>,
): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = viewOf(bytes);
  const sectors = header.size / SECTOR;
  // What a guest is told of heads and cylinders; only ever of interest to guests older than the format.
  const heads = 16;
  const sectorsOfTrack = 32;
  bytes.set(new TextEncoder().encode(header.magic));
  view.setUint32(FIELD.version, VERSION, true);
  view.setUint32(FIELD.heads, heads, true);
  view.setUint32(
    FIELD.cylinders,
    Math.min(0xffffffff, Math.floor(sectors / heads / sectorsOfTrack)),
    true,
  );
  view.setUint32(FIELD.clusterSectors, header.clusterSize / SECTOR, true);
  setSize(view, header);
  view.setUint32(FIELD.inUse, CLOSED, true);
  view.setUint32(FIELD.dataSector, header.dataStart / SECTOR, true);
  return bytes;
}

/** Writes the disk's size and the number of entries into a header. */
export function setSize(
  view: DataView,
  { size, entries }: Pick<ParallelsHeader, 'size' | 'entries'>,
): void {
  const sectors = size / SECTOR;
  view.setUint32(FIELD.entries, entries, true);
  view.setUint32(FIELD.sectors, sectors % 2 ** 32, true);
  view.setUint32(FIELD.sectors + 4, Math.floor(sectors / 2 ** 32), true);
}

function invalid(problem: string, offset: number, { location }: Storage): LamellaError {
  return new LamellaError('INVALID_HEADER', problem, { location, offset });
}

function truncated(what: string, { location, size }: Storage): LamellaError {
  return new LamellaError('TRUNCATED', `the file ends within its ${what}`, {
    location,
    offset: size,
  });
}
