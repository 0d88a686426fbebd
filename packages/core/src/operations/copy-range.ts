import type { Disk } from '../chain/index.js';
import { throwIfAborted } from '../errors/index.js';

/** Bytes moved at once. */
export const COPY_STEP = 1024 * 1024;
/** Steps of a copy that are under way at once. */
const COPY_LANES = 4;

/** What happens to one step of a range. */
export type Step = (buffer: Uint8Array, offset: number) => Promise<void>;

/**
 * Runs an action over a range, in steps of 1 MiB that end at multiples of it, `lanes` of them at once.
 *
 * @param disk - for messages
 * @param action - gets a buffer of the step's length to use as it likes
 * @throws LamellaError `ABORTED`, and the first failure of a step, once all of them have ended
 */
export async function forEachStep(
  disk: Disk,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
  action: Step,
  lanes = COPY_LANES,
): Promise<void> {
  const end = offset + length;
  let next = offset;
  let failed = false;
  const lane = async (): Promise<void> => {
    const buffer = new Uint8Array(Math.min(COPY_STEP, length));
    while (next < end && !failed) {
      throwIfAborted(signal, disk.location);
      const position = next;
      next = Math.min(end, position + COPY_STEP - (position % COPY_STEP));
      await action(buffer.subarray(0, next - position), position);
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(lanes, Math.ceil(length / COPY_STEP)) }, () =>
      lane().catch((error: unknown) => {
        failed = true;
        throw error;
      }),
    ),
  );
  for (const result of results) {
    if (result.status === 'rejected') {
      throw result.reason;
    }
  }
}
