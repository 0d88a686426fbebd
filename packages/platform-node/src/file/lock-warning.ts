import type { Logger } from '@lamella/core';

/** Who has been told. Storage drivers come and go with every open, so they can't remember. */
const TOLD = new WeakSet<Logger>();

/** Says once to each logger that images are not protected against other programs here. */
export function warnUnlocked(logger: Logger, location: string, why: string): void {
  if (!TOLD.has(logger)) {
    TOLD.add(logger);
    logger.warn(
      `${location}: ${why}, so nothing keeps other programs from writing to open images; said once`,
    );
  }
}
