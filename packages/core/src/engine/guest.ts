import type { Storage } from '../storage/index.js';

/** Where the guest's data is read and written: the storage itself, unless a filter tells the two apart. */
export function guestOf(storage: Storage): Storage {
  return storage.guest ?? storage;
}
