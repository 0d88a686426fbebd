import { viewOf } from '../bytes/index.js';

/** A cached piece of an on-disk table. */
export interface CachedSlice {
  /** Byte offset of the slice within the storage. */
  readonly offset: number;
  /** The content. After changing it, call `TableCache.markDirty` before the next await. */
  readonly bytes: Uint8Array;
  /** The content, for reading and writing fields. */
  readonly view: DataView;
}

/** The cache's own knowledge of a slice. It is used again for another one, some time after it left the cache. */
export class Slice implements CachedSlice {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Changed since it was last handed to a write-back. */
  dirty = false;
  /** Write-backs not confirmed yet: until they are, the disk may be older than the memory. */
  writing = 0;
  /** Used again since it came in or since the eviction hand last passed. */
  used = false;
  /** Where it stands on the eviction clock. */
  place = 0;

  /**
   * @param offset - byte offset within the storage
   * @param size - bytes
   */
  constructor(
    public offset: number,
    size: number,
  ) {
    this.bytes = new Uint8Array(size);
    this.view = viewOf(this.bytes);
  }
}
