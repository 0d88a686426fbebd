import { setTimeout as sleep } from 'node:timers/promises';

/** Holds an operation back to a rate. */
export function paceOf(
  bytesPerSecond: number | undefined,
): ((bytes: number) => Promise<void>) | undefined {
  if (bytesPerSecond === undefined || bytesPerSecond === 0) {
    return undefined;
  }
  let due = performance.now();
  return async (bytes) => {
    const now = performance.now();
    if (due > now) {
      await sleep(due - now);
    }
    due = Math.max(due, now) + (bytes / bytesPerSecond) * 1000;
  };
}
