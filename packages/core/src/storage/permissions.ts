/**
 * What somebody does with a storage, in QEMU's terms, which locks between processes are made of.
 *
 * - `consistent-read`: reads, and relies on what is read being whole
 * - `write`: changes what others read
 * - `write-unchanged`: writes, but what others read stays the same
 * - `resize`: changes the length
 */
export type StoragePermission = 'consistent-read' | 'write' | 'write-unchanged' | 'resize';

/** What a user of a storage does, and what others may do meanwhile. */
export interface StoragePermissions {
  /** What is going to be done. */
  readonly uses: readonly StoragePermission[];
  /** What others may do at the same time; whatever is not listed is refused to them. */
  readonly shares: readonly StoragePermission[];
}

/** How a storage is going to be used: what decides over its {@link StoragePermissions}. */
export interface StorageUse {
  /** Writes will be made. */
  readonly writable: boolean;
  /**
   * What lives there: an image with metadata that nobody else may change, the bytes of a disk and
   * nothing else, or the guest data of an image whose metadata is elsewhere.
   */
  readonly content: 'image' | 'raw' | 'data-file';
  /** Read along while somebody else writes. */
  readonly forceShare?: boolean | undefined;
}

/** Every permission. */
const ALL: readonly StoragePermission[] = ['consistent-read', 'write', 'write-unchanged', 'resize'];

/**
 * The permissions that QEMU's tools take for the same use of a file, so that each side sees what the
 * other does.
 */
export function permissionsFor({ writable, content, forceShare }: StorageUse): StoragePermissions {
  if (content === 'raw') {
    return { uses: writable ? ['consistent-read', 'write'] : ['consistent-read'], shares: ALL };
  }
  const uses: StoragePermissions['uses'] = writable
    ? ['consistent-read', 'write', 'resize']
    : ['consistent-read'];
  if (forceShare === true) {
    return { uses, shares: ALL };
  }
  return {
    uses,
    shares:
      content === 'data-file'
        ? ['consistent-read', 'write', 'write-unchanged']
        : ['consistent-read', 'write-unchanged'],
  };
}

/** The permissions for making an image anew, whatever was in the storage before. */
export function permissionsToCreate(content: StorageUse['content']): StoragePermissions {
  return {
    uses: ['write', 'resize'],
    shares:
      content === 'image'
        ? ['consistent-read', 'write-unchanged']
        : ['consistent-read', 'write', 'write-unchanged'],
  };
}
