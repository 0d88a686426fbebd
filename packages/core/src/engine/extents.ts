import { type Awaitable, isPromise } from '../bytes/index.js';
import type { Extent } from '../driver/index.js';
import { throwIfAborted } from '../errors/index.js';
import type { StorageExtent } from '../storage/index.js';
import type { LayerStack } from './layers.js';
import type { Located, Locator } from './locator.js';

/**
 * A run of the guest's disk that is held in one place.
 *
 * - `data`: stored as it is at `hostOffset`
 * - `compressed`: stored compressed
 * - `zero`: known to be zeroes: by the format, because the file has a hole there, or because the layer
 *   that would answer ends before
 * - `unallocated`: no layer holds it, so it reads as zeroes
 * - `missing`: only a backing file that was left out knows; can't be read
 */
export interface DiskExtent {
  /** First byte on the guest's disk. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** What is there. */
  readonly kind: 'data' | 'compressed' | 'zero' | 'unallocated' | 'missing';
  /** Number of the layer that answers, 0 for the top; undefined where none does. */
  readonly layer: number | undefined;
  /** The same, or the number of the lowest layer that reaches there, where none answers. */
  readonly depth: number;
  /**
   * Byte offset in the layer's storage, where the bytes (or their reserved space) have one. Ciphered bytes
   * have none: what is stored there is not what the guest reads.
   */
  readonly hostOffset: number | undefined;
  /**
   * Present for a run of `zero` that the format counts as data: the storage has a hole there, as where
   * clusters were mapped in advance.
   */
  readonly preallocated?: true;
}

/** Whether a run is known to be zeroes, so that it need not be read. */
export function readsAsZeroes({ kind }: DiskExtent): boolean {
  return kind === 'zero' || kind === 'unallocated';
}

/** Longest stretch that is looked at between two extents: keeps each step short. */
const MAX_STEP = 1024 ** 4;

/** Lists who holds what, in order and without gaps; neighbours that continue each other are joined. */
export async function* listExtents(
  stack: LayerStack,
  locator: Locator,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<DiskExtent, void, undefined> {
  let held: DiskExtent | undefined;
  const holes = new HiddenHoles(stack);
  for (let position = start; position < end; ) {
    throwIfAborted(signal, stack.layers[0].storage.location);
    const located = await locator.locate(position, Math.min(end - position, MAX_STEP));
    const hides = located.extent.kind === 'data' && (await holes.in(located.layer));
    let done = 0;
    while (done < located.extent.length) {
      const answer = refine(stack, located, position + done, done, hides);
      // A file with many holes has an answer for each at once: waiting would cost more than asking.
      const part = isPromise(answer) ? await answer : answer;
      done += part.length;
      const joined = held === undefined ? part : join(held, part);
      if (joined === undefined && held !== undefined) {
        yield held;
      }
      held = joined ?? part;
    }
    position += done;
  }
  if (held !== undefined) {
    yield held;
  }
}

/** The next part of a located extent, split where its storage has holes. */
function refine(
  stack: LayerStack,
  { layer, depth, extent }: Located,
  offset: number,
  done: number,
  hides: boolean,
): Awaitable<DiskExtent> {
  const length = extent.length - done;
  if (extent.kind === 'data' && extent.cipher === undefined && (extent.sparse === true || hides)) {
    const hostOffset = extent.offset + done;
    const place = { offset, layer, depth, hostOffset, mapped: extent.sparse !== true };
    const answer = extent.storage.map(hostOffset, length);
    return isPromise(answer) ? answer.then((known) => partOf(known, place)) : partOf(answer, place);
  }
  return {
    offset,
    length,
    kind: kindOf(stack, extent),
    layer,
    depth,
    hostOffset: hostOffset(extent, done),
  };
}

/** Where a part of the disk is said to be. */
interface Place extends Pick<DiskExtent, 'offset' | 'layer' | 'depth' | 'hostOffset'> {
  /** It is the format that says so. */
  readonly mapped: boolean;
}

function partOf(
  { kind, length }: StorageExtent,
  { offset, layer, depth, hostOffset, mapped }: Place,
): DiskExtent {
  if (kind === 'data') {
    return { offset, length, kind, layer, depth, hostOffset };
  }
  const hole: DiskExtent = { offset, length, kind: 'zero', layer, depth, hostOffset };
  return mapped ? { ...hole, preallocated: true } : hole;
}

/** Which layers have holes that their metadata does not tell of; each is asked once. */
class HiddenHoles {
  readonly #stack: LayerStack;
  readonly #answers = new Map<number, boolean>();

  constructor(stack: LayerStack) {
    this.#stack = stack;
  }

  in(layer: number | undefined): Awaitable<boolean> {
    return layer === undefined ? false : (this.#answers.get(layer) ?? this.#ask(layer));
  }

  async #ask(layer: number): Promise<boolean> {
    const answer = (await this.#stack.layers[layer]?.image.mayHaveHoles?.()) ?? false;
    this.#answers.set(layer, answer);
    return answer;
  }
}

function kindOf(stack: LayerStack, extent: Extent): DiskExtent['kind'] {
  return extent.kind === 'unallocated' && stack.missing !== undefined ? 'missing' : extent.kind;
}

/** Where a located extent stands, from `done` bytes of it on. */
function hostOffset(extent: Extent, done: number): number | undefined {
  switch (extent.kind) {
    case 'compressed':
      return undefined;
    case 'data':
      return extent.cipher === undefined ? extent.offset + done : undefined;
    default:
      return extent.offset === undefined ? undefined : extent.offset + done;
  }
}

function join(left: DiskExtent, right: DiskExtent): DiskExtent | undefined {
  const continues =
    left.kind === right.kind &&
    left.layer === right.layer &&
    left.depth === right.depth &&
    left.preallocated === right.preallocated &&
    (left.hostOffset === undefined
      ? right.hostOffset === undefined
      : right.hostOffset === left.hostOffset + left.length);
  return continues ? { ...left, length: left.length + right.length } : undefined;
}
