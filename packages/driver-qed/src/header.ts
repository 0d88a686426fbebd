import {
  isPowerOfTwo,
  LamellaError,
  type Reference,
  readUint64,
  type Storage,
  viewOf,
} from '@lamella/core';
import {
  Geometry,
  MAX_CLUSTER_SIZE,
  MAX_TABLE_SIZE,
  MIN_CLUSTER_SIZE,
  SECTOR_SIZE,
} from './geometry.js';
import {
  FEATURE,
  FIELD,
  HEADER_BYTES,
  KNOWN_FEATURES,
  MAGIC,
  MAX_BACKING_NAME,
} from './header-fields.js';

/** What a valid header says. */
export interface QedHeader {
  readonly geometry: Geometry;
  /** The known bits of `features`; unknown ones are refused. */
  readonly features: number;
  /** Whether `autoclear_features` has bits, none of which this driver knows. */
  readonly hasAutoclear: boolean;
  /** Size of the guest's disk in bytes, a multiple of 512. */
  readonly imageSize: number;
  /** The backing file, as named. */
  readonly backing: Reference | undefined;
}

/**
 * Whether bytes start with the magic number of QED.
 *
 * @param head - any number of bytes
 */
export function hasMagic(head: Uint8Array): boolean {
  return head.length >= 4 && viewOf(head).getUint32(FIELD.magic, true) === MAGIC;
}

/**
 * Reads and validates the header and the backing filename. Takes at most a few KiB of memory,
 * whatever the header says.
 *
 * @throws LamellaError `WRONG_FORMAT`, `TRUNCATED`, `INVALID_HEADER`, `UNSUPPORTED`,
 * `LIMIT_EXCEEDED`, and as `Storage.read`
 */
export async function readHeader(storage: Storage): Promise<QedHeader> {
  const bytes = new Uint8Array(HEADER_BYTES);
  await storage.read(bytes, 0);
  const parser = new HeaderParser(storage, bytes);
  const header = parser.parse();
  const name = parser.backingName(header);
  if (name === undefined) {
    return { ...header, backing: undefined };
  }
  const nameBytes = new Uint8Array(name.length);
  await storage.read(nameBytes, name.offset);
  const noProbe = (header.features & FEATURE.backingFormatNoProbe) !== 0;
  return {
    ...header,
    backing: {
      location: parser.decodeName(nameBytes, name.offset),
      format: noProbe ? 'raw' : undefined,
    },
  };
}

type Fields = Omit<QedHeader, 'backing'>;

class HeaderParser {
  readonly #storage: Storage;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(storage: Storage, bytes: Uint8Array) {
    this.#storage = storage;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  parse(): Fields {
    const { location, size } = this.#storage;
    if (size < 4 || !hasMagic(this.#bytes)) {
      throw new LamellaError('WRONG_FORMAT', 'this is no QED image: the magic number is missing', {
        location,
        offset: FIELD.magic,
        hint: 'Give the right format, or none to have it recognised.',
      });
    }
    if (size < HEADER_BYTES) {
      throw new LamellaError('TRUNCATED', `the file ends within the header, after ${size} bytes`, {
        location,
        offset: size,
        hint: 'Restore the image from a complete copy.',
      });
    }
    const features = this.#features();
    const geometry = this.#geometry();
    return {
      geometry,
      features,
      hasAutoclear:
        this.#uint32(FIELD.autoclearFeatures) !== 0 ||
        this.#uint32(FIELD.autoclearFeatures + 4) !== 0,
      imageSize: this.#imageSize(geometry),
    };
  }

  #features(): number {
    const low = this.#uint32(FIELD.features);
    const high = this.#uint32(FIELD.features + 4);
    const unknownLow = (low & ~KNOWN_FEATURES) >>> 0;
    if (unknownLow !== 0 || high !== 0) {
      const bits = [...setBits(unknownLow, 0), ...setBits(high, 32)];
      throw new LamellaError(
        'UNSUPPORTED',
        `the image uses unknown incompatible features: bit ${bits.join(', ')}`,
        {
          location: this.#storage.location,
          offset: FIELD.features,
          hint: 'Open it with a newer version, or with the program that made it.',
        },
      );
    }
    return low;
  }

  #geometry(): Geometry {
    const clusterSize = this.#uint32(FIELD.clusterSize);
    if (
      !isPowerOfTwo(clusterSize) ||
      clusterSize < MIN_CLUSTER_SIZE ||
      clusterSize > MAX_CLUSTER_SIZE
    ) {
      throw this.#invalid(
        'clusterSize',
        `the cluster size is ${clusterSize} bytes; it must be a power of two from 4096 to 67108864`,
      );
    }
    const tableSize = this.#uint32(FIELD.tableSize);
    if (!isPowerOfTwo(tableSize) || tableSize > MAX_TABLE_SIZE) {
      throw this.#invalid(
        'tableSize',
        `the table size is ${tableSize} clusters; it must be a power of two from 1 to 16`,
      );
    }
    const headerSize = this.#uint32(FIELD.headerSize);
    if (headerSize < 1) {
      throw this.#invalid('headerSize', 'the header has a size of 0 clusters');
    }
    if (headerSize * clusterSize > this.#storage.size) {
      throw this.#truncated(
        'headerSize',
        `the header's ${headerSize} clusters of ${clusterSize} bytes reach past the end of the file`,
      );
    }
    const l1Offset = this.#uint64(FIELD.l1TableOffset, 'the offset of the L1 table');
    const geometry = new Geometry({ clusterSize, tableSize, headerSize, l1Offset });
    this.#checkL1(geometry);
    return geometry;
  }

  #checkL1({ l1Offset, clusterSize, headerEnd, tableBytes }: Geometry): void {
    if (l1Offset % clusterSize !== 0) {
      throw this.#invalid(
        'l1TableOffset',
        `the L1 table is at ${l1Offset}, which is no multiple of the cluster size ${clusterSize}`,
      );
    }
    if (l1Offset < headerEnd) {
      throw this.#invalid(
        'l1TableOffset',
        `the L1 table is at ${l1Offset}, within the ${headerEnd} bytes of the header`,
      );
    }
    if (l1Offset + tableBytes > this.#storage.size) {
      throw this.#truncated(
        'l1TableOffset',
        `the L1 table of ${tableBytes} bytes at ${l1Offset} reaches past the end of the file`,
      );
    }
  }

  #imageSize(geometry: Geometry): number {
    const imageSize = this.#uint64(FIELD.imageSize, 'the size of the disk');
    if (imageSize % SECTOR_SIZE !== 0) {
      throw this.#invalid(
        'imageSize',
        `the disk has ${imageSize} bytes, which is no multiple of ${SECTOR_SIZE}`,
      );
    }
    if (imageSize > geometry.maxImageSize) {
      throw this.#invalid(
        'imageSize',
        `the disk has ${imageSize} bytes; the tables can describe ${geometry.maxImageSize}`,
      );
    }
    return imageSize;
  }

  /** Where the backing filename stands; undefined without one. An empty name means none, as in QEMU. */
  backingName(header: Fields): { readonly offset: number; readonly length: number } | undefined {
    if ((header.features & FEATURE.backingFile) === 0) {
      return undefined;
    }
    const offset = this.#uint32(FIELD.backingFilenameOffset);
    const length = this.#uint32(FIELD.backingFilenameSize);
    if (length > MAX_BACKING_NAME) {
      throw this.#invalid(
        'backingFilenameSize',
        `the backing filename has ${length} bytes; at most ${MAX_BACKING_NAME} are allowed`,
      );
    }
    if (offset + length > header.geometry.headerEnd) {
      throw this.#invalid(
        'backingFilenameOffset',
        `the backing filename of ${length} bytes at ${offset} reaches past the header's ${header.geometry.headerEnd} bytes`,
      );
    }
    return length === 0 ? undefined : { offset, length };
  }

  decodeName(bytes: Uint8Array, offset: number): string {
    const problem = (what: string) =>
      new LamellaError('INVALID_HEADER', `the backing filename ${what}`, {
        location: this.#storage.location,
        offset,
        hint: 'Rename the backing file and set the name anew with the program that made the image.',
      });
    if (bytes.includes(0)) {
      throw problem('contains a NUL byte');
    }
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw problem('is not UTF-8 text');
    }
  }

  #uint32(position: number): number {
    return this.#view.getUint32(position, true);
  }

  #uint64(position: number, name: string): number {
    return readUint64(this.#view, position, 'little', { name, location: this.#storage.location });
  }

  #invalid(field: keyof typeof FIELD, problem: string): LamellaError {
    return new LamellaError('INVALID_HEADER', problem, {
      location: this.#storage.location,
      offset: FIELD[field],
      hint: 'The header is damaged: restore the image from a backup.',
    });
  }

  #truncated(field: keyof typeof FIELD, problem: string): LamellaError {
    return new LamellaError('TRUNCATED', problem, {
      location: this.#storage.location,
      offset: FIELD[field],
      hint: 'Restore the image from a complete copy.',
    });
  }
}

function setBits(half: number, first: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit)
    .filter((bit) => (half >>> bit) % 2 === 1)
    .map((bit) => bit + first);
}
