import {
  type Awaitable,
  type BlockDriver,
  type Extent,
  type Image,
  LamellaError,
  type OpenOptions,
  type OptionSchema,
  type OptionValue,
  type Placement,
  parseOptions,
  type Storage,
  type ZeroContext,
} from '@lamella/core';
import { injectable } from 'tsyringe';
import { FilterImage } from '../filter-image.js';
import { type Partition, readPartitions } from './partitions.js';

const OPEN_OPTIONS: OptionSchema = {
  number: { type: 'number', description: 'Number of the partition, from 1', default: 1 },
  sector_size: {
    type: 'size',
    description: 'Bytes of a sector of the disk: 512 or 4096',
    default: 512,
    choices: ['512', '4096'],
  },
};

/** The filter `partition`: shows one partition of a disk, by its number in the GPT or MBR. */
@injectable()
export class PartitionDriver implements BlockDriver {
  readonly format = 'partition';
  readonly openOptions = OPEN_OPTIONS;
  readonly sharesStorage = true;

  /** @throws LamellaError `NOT_FOUND` when there is no such partition, `INVALID_HEADER` when it is not within the
   * disk, and as {@link readPartitions} */
  async open(storage: Storage, { options }: OpenOptions): Promise<Image> {
    const values = parseOptions(OPEN_OPTIONS, options ?? {}, 'opening a partition');
    const partitions = await readPartitions(storage, Number(values.sector_size));
    const partition = partitions.find(({ number }) => number === values.number);
    if (partition === undefined) {
      const numbers = partitions.map(({ number }) => number).join(', ');
      throw new LamellaError('NOT_FOUND', `the disk has no partition ${values.number}`, {
        location: storage.location,
        hint: partitions.length === 0 ? 'It has none at all.' : `It has ${numbers}.`,
      });
    }
    assertWithin(partition, storage);
    return new PartitionImage(storage, partition);
  }
}

function assertWithin({ number, offset, length }: Partition, { size, location }: Storage): void {
  if (length <= 0 || offset <= 0 || offset + length > size) {
    throw new LamellaError(
      'INVALID_HEADER',
      `partition ${number} of ${length} bytes from ${offset} on is not within the disk`,
      { location, hint: 'The table is damaged, or the disk was cut.' },
    );
  }
}

/** A window onto a disk that keeps its size. */
class PartitionImage extends FilterImage {
  readonly #start: number;
  readonly #length: number;

  constructor(storage: Storage, { number, offset, length, type, name }: Partition) {
    const shown: Record<string, OptionValue> = { number, offset, type };
    super(storage, name === undefined ? shown : { ...shown, name });
    this.#start = offset;
    this.#length = length;
  }

  override get size(): number {
    return this.#length;
  }

  override map(offset: number, length: number): Extent {
    return super.map(this.#start + offset, length);
  }

  override place(offset: number, length: number): Placement {
    return super.place(this.#start + offset, length);
  }

  override zero(offset: number, length: number, context: ZeroContext): Awaitable<number> {
    return super.zero(this.#start + offset, length, context);
  }

  override discard(offset: number, length: number): Awaitable<void> {
    return super.discard(this.#start + offset, length);
  }

  /** @throws LamellaError `UNSUPPORTED` always */
  override async resize(): Promise<void> {
    throw new LamellaError('UNSUPPORTED', "a partition can't be resized here", {
      location: this.storage.location,
      hint: 'Change the partition table with a tool made for that.',
    });
  }
}
