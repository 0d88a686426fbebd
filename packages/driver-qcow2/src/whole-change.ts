import type { Header } from './header/header.js';
import type { Leftovers } from './refcount/leftovers.js';
import type { WriteParts } from './write-parts.js';

/**
 * Changes the storage of an image as a whole, by itself or by way of the parts, while no request is under way.
 * It finds everything flushed, and leaves an image that is consistent even if it fails.
 *
 * @param leftovers - takes what only the image as it is afterwards can free
 */
export type WholeChange = (
  parts: WriteParts,
  header: Header,
  leftovers: Leftovers,
) => Promise<void>;

/** An open image for whoever changes it as a whole. */
export interface ChangingImage {
  /** The image's parts at the moment: each change makes them anew. */
  parts(): WriteParts;
  /** Runs a change and reads the image anew, whatever the change did. */
  restructure(change: WholeChange): Promise<void>;
}
