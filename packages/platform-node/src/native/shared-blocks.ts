import { fstatSync, statfsSync } from 'node:fs';

/**
 * File systems of Linux where `copy_file_range` has two files share blocks, or a server copy them: btrfs, XFS,
 * bcachefs, ZFS, OCFS2, NFS, SMB, Ceph, and those that pass it on, overlayfs and FUSE. The numbers are those of
 * `statfs`.
 */
const SHARING: ReadonlySet<number> = new Set([
  0x9123_683e, 0x5846_5342, 0xca45_1a4e, 0x2fc1_2fc1, 0x7461_636f, 0x6969, 0xff53_4d42, 0xfe53_4d42,
  0x00c3_6400, 0x794c_7630, 0x6573_5546,
]);

/**
 * Whether two open files can be expected to share blocks after a copy.
 *
 * @param from - file descriptor
 * @param to - file descriptor
 */
export function canShareBlocks(from: number, to: number): boolean {
  try {
    // By the descriptor, since a file may have got another name.
    return (
      fstatSync(from).dev === fstatSync(to).dev &&
      SHARING.has(statfsSync(`/proc/self/fd/${to}`).type)
    );
  } catch {
    return false;
  }
}
