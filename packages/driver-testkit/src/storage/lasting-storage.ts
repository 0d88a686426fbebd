import { WrappedStorage } from './wrapped-storage.js';

/** A storage that outlives the disks over it: closing does nothing. */
export class LastingStorage extends WrappedStorage {
  override async close(): Promise<void> {}
}
