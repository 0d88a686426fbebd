import type { Disk } from '../chain/index.js';
import type { LongOperation } from '../driver/index.js';
import { type DiskExtent, readsAsZeroes } from '../engine/index.js';
import { throwIfAborted } from '../errors/index.js';
import { firstDifference, ZERO_GRANULE } from './zero-runs.js';

/** Comparisons under way at once. */
const LANES = 4;
/** Bytes that are compared at once: what was read is still in the processor's cache then. */
const STEP = 256 * 1024;

/** How disks are compared. */
export interface CompareOptions extends LongOperation {
  /** Count different sizes, and ranges that only one image holds, as differences. False by default. */
  readonly strict?: boolean | undefined;
}

/** How two disks differ, if they do. */
export interface CompareResult {
  /**
   * - `none`: they read the same; where one is longer, zeroes follow
   * - `size`: their sizes differ (`strict` only)
   * - `allocation`: one holds what the other does not (`strict` only)
   * - `content`: their bytes differ
   */
  readonly difference: 'none' | 'size' | 'allocation' | 'content';
  /** First byte of the first sector of 512 bytes, or of the range, that differs. */
  readonly offset?: number | undefined;
  /** One disk is longer, and all that the shorter one has is the same. */
  readonly longer: boolean;
}

/**
 * Finds the first difference between two disks. What is known to be zeroes is not read. Progress is told
 * in bytes of the longer disk.
 *
 * @throws LamellaError `ABORTED`, and what reading throws
 */
export async function compare(
  left: Disk,
  right: Disk,
  options: CompareOptions = {},
): Promise<CompareResult> {
  const strict = options.strict === true;
  if (strict && left.size !== right.size) {
    return { difference: 'size', longer: true };
  }
  const total = Math.max(left.size, right.size);
  const common = Math.min(left.size, right.size);
  const lanes = Array.from({ length: LANES }, () => new Lane(left, right));
  let begun = 0;
  const queue: { readonly end: number; readonly answer: Promise<number | undefined> }[] = [];
  const settle = async (most: number): Promise<number | undefined> => {
    while (queue.length > most) {
      const first = queue.shift();
      const offset = await first?.answer;
      if (offset !== undefined) {
        return offset;
      }
      options.onProgress?.({ done: first?.end ?? 0, total });
    }
    return undefined;
  };
  try {
    for await (const { offset, length, kinds, same } of commonRanges(left, right, options)) {
      if (strict && !same) {
        const earlier = await settle(0);
        return earlier === undefined
          ? { difference: 'allocation', offset, longer: false }
          : { difference: 'content', offset: earlier, longer: offset > common };
      }
      const end = offset + length;
      for (let position = offset; position < end; ) {
        throwIfAborted(options.signal, left.location);
        const next = Math.min(end, position + STEP - (position % STEP));
        // The queue has room for one: the comparison before in this lane has ended.
        const lane = lanes[begun % LANES] ?? new Lane(left, right);
        const answer = lane.differenceIn(kinds, position, next - position);
        begun += 1;
        // Whoever awaits it may come late.
        answer.catch(() => undefined);
        queue.push({ end: next, answer });
        const found = await settle(LANES - 1);
        if (found !== undefined) {
          return { difference: 'content', offset: found, longer: found >= common };
        }
        position = next;
      }
    }
    const found = await settle(0);
    return found === undefined
      ? { difference: 'none', longer: left.size !== right.size }
      : { difference: 'content', offset: found, longer: found >= common };
  } finally {
    await Promise.allSettled(queue.map(({ answer }) => answer));
  }
}

type Kind = 'data' | 'zero';

/** A range in which each disk is of one kind. */
interface CommonRange {
  readonly offset: number;
  readonly length: number;
  readonly kinds: readonly [Kind, Kind];
  /** Both hold it, or neither does. */
  readonly same: boolean;
}

/** Walks over two disks at once. */
async function* commonRanges(
  left: Disk,
  right: Disk,
  { signal }: CompareOptions,
): AsyncGenerator<CommonRange> {
  const [a, b] = [left.extents({ signal }), right.extents({ signal })];
  let [x, y] = [await nextOf(a), await nextOf(b)];
  for (let offset = 0; x !== undefined || y !== undefined; ) {
    const end = Math.min(endOf(x), endOf(y));
    yield {
      offset,
      length: end - offset,
      kinds: [kindOf(x), kindOf(y)],
      same: classOf(x) === classOf(y),
    };
    offset = end;
    x = endOf(x) === end ? await nextOf(a) : x;
    y = endOf(y) === end ? await nextOf(b) : y;
  }
}

async function nextOf(extents: AsyncGenerator<DiskExtent>): Promise<DiskExtent | undefined> {
  const next = await extents.next();
  return next.done === true ? undefined : next.value;
}

/** Past its end a disk counts as zeroes. */
function endOf(extent: DiskExtent | undefined): number {
  return extent === undefined ? Number.POSITIVE_INFINITY : extent.offset + extent.length;
}

function kindOf(extent: DiskExtent | undefined): Kind {
  return extent === undefined || readsAsZeroes(extent) ? 'zero' : 'data';
}

function classOf(extent: DiskExtent | undefined): string {
  const stored = extent?.kind === 'compressed' ? 'compressed' : kindOf(extent);
  return `${stored} ${extent?.layer !== undefined} ${extent?.preallocated === true}`;
}

/** Compares one step after the other, in memory that it uses again. */
class Lane {
  readonly #left: Disk;
  readonly #right: Disk;
  readonly #leftBytes = new Uint8Array(STEP);
  readonly #rightBytes = new Uint8Array(STEP);

  constructor(left: Disk, right: Disk) {
    this.#left = left;
    this.#right = right;
  }

  async differenceIn(
    [leftKind, rightKind]: readonly [Kind, Kind],
    offset: number,
    length: number,
  ): Promise<number | undefined> {
    if (leftKind === 'zero' && rightKind === 'zero') {
      return undefined;
    }
    const left = this.#leftBytes.subarray(0, length);
    const right = this.#rightBytes.subarray(0, length);
    await Promise.all([
      leftKind === 'data' ? this.#left.read(left, offset) : left.fill(0),
      rightKind === 'data' ? this.#right.read(right, offset) : right.fill(0),
    ]);
    const found = firstDifference(left, right, ZERO_GRANULE);
    return found === undefined ? undefined : offset + found;
  }
}
