import {
  alignUp,
  type BlockDriver,
  type CreateOptions,
  type Image,
  isPowerOfTwo,
  LamellaError,
  type Measurement,
  type MeasureRequest,
  type OpenOptions,
  type OptionSchema,
  PLACE_OF_BACKING,
  PLACE_OF_SIZE,
  parseOptions,
  type Storage,
} from '@lamella/core';
import {
  checkBacking,
  encodeHeader,
  entriesFor,
  HEADER_LENGTH,
  hasMagic,
  MAX_ENTRIES,
  readHeader,
  readTable,
} from './layout.js';
import { assertSound, ShelfImage } from './shelf-image.js';

// #region create-options
const CREATE_OPTIONS: OptionSchema = {
  ...PLACE_OF_SIZE,
  ...PLACE_OF_BACKING,
  cluster_size: { type: 'size', description: 'Bytes of a cluster', default: 65536 },
};
// #endregion create-options

/** Reads and writes shelf images. */
export class ShelfDriver implements BlockDriver {
  readonly format = 'shelf';
  readonly apiVersion = 1;
  readonly createOptions = CREATE_OPTIONS;
  readonly openOptions: OptionSchema = {};
  readonly supportsBacking = true;

  probe(head: Uint8Array): number {
    return hasMagic(head) ? 100 : 0;
  }

  // #region open
  async open(storage: Storage, { writable, forCheck, options }: OpenOptions): Promise<Image> {
    parseOptions(this.openOptions, options ?? {}, 'opening a shelf image');
    const header = await readHeader(storage);
    const table = await readTable(storage, header);
    if (writable && forCheck !== true) {
      assertSound(table, header, storage);
    }
    return new ShelfImage(storage, header, table, writable);
  }
  // #endregion open

  // #region create
  validateCreate({ size, options, backing }: CreateOptions): void {
    const clusterSize = Number(options.cluster_size);
    if (!isPowerOfTwo(clusterSize) || clusterSize < HEADER_LENGTH || clusterSize > 1024 * 1024) {
      throw new LamellaError('INVALID_ARGUMENT', `a cluster can't have ${clusterSize} bytes`, {
        hint: 'Give a power of two from 512 to 1M.',
      });
    }
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new LamellaError('INVALID_ARGUMENT', `a disk can't have ${size} bytes`);
    }
    if (entriesFor(size, clusterSize) > MAX_ENTRIES) {
      throw new LamellaError('LIMIT_EXCEEDED', 'the disk has too many clusters', {
        hint: 'Make the clusters larger.',
      });
    }
    checkBacking(backing);
  }

  async create(storage: Storage, request: CreateOptions): Promise<void> {
    this.validateCreate(request);
    const { size, backing, options } = request;
    const clusterSize = Number(options.cluster_size);
    const header = {
      clusterSize,
      size,
      tableOffset: clusterSize,
      backing: backing?.location ?? '',
    };
    await storage.truncate(clusterSize + entriesFor(size, clusterSize) * 4);
    await storage.write(encodeHeader(header), 0);
    await storage.flush();
  }
  // #endregion create

  // #region measure
  async measure(request: MeasureRequest): Promise<Measurement> {
    this.validateCreate(request);
    const { size, options, data, backed } = request;
    const clusterSize = Number(options.cluster_size);
    const entries = entriesFor(size, clusterSize);
    const metadata = alignUp(clusterSize + entries * 4, clusterSize);
    let used = entries;
    if (data !== undefined && backed !== true) {
      const touched = new Set<number>();
      for await (const { offset, length } of data) {
        for (
          let byte = offset - (offset % clusterSize);
          byte < offset + length;
          byte += clusterSize
        ) {
          touched.add(byte / clusterSize);
        }
      }
      used = touched.size;
    }
    return {
      required: metadata + used * clusterSize,
      fullyAllocated: metadata + entries * clusterSize,
    };
  }
  // #endregion measure
}
