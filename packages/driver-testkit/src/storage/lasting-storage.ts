import { WrappedStorage } from '@lamella/core';

/** A storage that outlives the disks over it: closing does nothing. */
export class LastingStorage extends WrappedStorage {
  override async close(): Promise<void> {}
}
