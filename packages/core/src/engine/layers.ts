import type { Image } from '../driver/index.js';
import { LamellaError } from '../errors/index.js';
import type { Storage } from '../storage/index.js';

/** One image of a chain and the storage it lives in. */
export interface EngineLayer {
  /** Answers where bytes live. */
  readonly image: Image;
  /** Where the image lives. */
  readonly storage: Storage;
}

/** A backing file that was named but, by policy, not opened. */
export interface MissingBacking {
  /** Location of the image that names it. */
  readonly namedBy: string;
  /** The name as written. */
  readonly reference: string;
}

/** The images of a chain, top first, and what is known of the place below the last. */
export interface LayerStack {
  /** The images, top first. */
  readonly layers: readonly [EngineLayer, ...EngineLayer[]];
  /** Set when the last layer names a backing file that was left out. */
  readonly missing?: MissingBacking | undefined;
}

/** The error of whoever needs bytes that only a left-out backing file has. */
export function missingBackingError(missing: MissingBacking, offset: number): LamellaError {
  return new LamellaError(
    'REFERENCE_DENIED',
    `this range is held by the backing file '${missing.reference}', which was not opened`,
    {
      location: missing.namedBy,
      offset,
      hint: "Open with references: 'follow' (or { within: [...] }) to read through it.",
    },
  );
}
