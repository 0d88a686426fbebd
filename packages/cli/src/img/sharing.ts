import { Failure } from '../command-line/failure.js';
import type { OpenableName } from './image-name.js';

/** What the command line says of sharing contradicts what the image's name says. Printed by itself. */
export class SharingConflict extends Failure {}

/**
 * Whether an image is shared with whoever uses it: by `-U`, or by `force-share` in its name.
 *
 * @param option - how `-U` is called in the message
 * @throws SharingConflict, Failure for one that is to be written
 */
export function sharingOf(
  asked: { readonly forceShare?: boolean | undefined; readonly writable?: boolean | undefined },
  named: OpenableName,
  option = '--force-share/-U',
): boolean {
  if (asked.forceShare === true && named.forceShare === false) {
    throw new SharingConflict(`${option} conflicts with image options`);
  }
  const shared = asked.forceShare === true || named.forceShare === true;
  if (shared && asked.writable === true) {
    throw new Failure('force-share=on can only be used with read-only images');
  }
  return shared;
}
