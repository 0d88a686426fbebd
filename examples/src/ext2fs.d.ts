/** What is used here of `ext2fs`, which comes without types. */
declare module 'ext2fs' {
  /** Where a file system lives. All methods are asynchronous. */
  export interface BlockDevice {
    read(
      buffer: Uint8Array,
      bufferOffset: number,
      length: number,
      offset: number,
    ): Promise<{ readonly bytesRead: number; readonly buffer: Uint8Array }>;
    write(
      buffer: Uint8Array,
      bufferOffset: number,
      length: number,
      offset: number,
    ): Promise<{ readonly bytesWritten: number; readonly buffer: Uint8Array }>;
    discard(offset: number, length: number): Promise<void>;
    flush(): Promise<void>;
  }

  /** Runs something with a mounted file system, which has the methods of `node:fs/promises`. */
  export function withMountedDisk<T>(
    disk: BlockDevice,
    offset: number,
    action: (fs: { readonly promises: typeof import('node:fs/promises') }) => Promise<T>,
  ): Promise<T>;
}
