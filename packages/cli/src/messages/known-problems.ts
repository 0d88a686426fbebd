import { HEADER_PROBLEMS, type KnownText } from './header-problems.js';

/**
 * What qemu-img says of problems that the built-in drivers name in their own words. Where a text of theirs
 * changes, theirs is printed until the table follows; the comparison with qemu-img notices.
 */
const KNOWN: readonly (readonly [problem: RegExp, text: KnownText])[] = [
  ...HEADER_PROBLEMS,
  [/^this is no qcow2 image$/, 'Image is not in qcow2 format'],
  [/^this is no QED image/, 'Image not in QED format'],
  [/^the cluster size cannot be/, 'Cluster size must be a power of two between 512 and 2048k'],
  [/^refcounts cannot have/, 'Refcount width must be a power of two and may not exceed 64 bits'],
  [
    /^compat=0\.10 has 16-bit refcounts only$/,
    'Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)',
  ],
  [
    /^compat=0\.10 has no lazy refcounts$/,
    'Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)',
  ],
  [
    /^compat=0\.10 has no extended L2 entries$/,
    'Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)',
  ],
  [
    /^extended L2 entries need clusters/,
    'Extended L2 entries are only supported with cluster sizes of at least 16384 bytes',
  ],
  [
    /^compat=0\.10 has zlib compression only$/,
    'Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)',
  ],
  [
    /^cluster_size cannot be \d+ for a QED image$/,
    'QED cluster size must be within range [4096, 67108864] and power of 2',
  ],
  [
    /^table_size cannot be \d+ for a QED image$/,
    'QED table size must be within range [1, 16] and power of 2',
  ],
  [
    /^option 'preallocation' for creating a raw image cannot be 'metadata'$/,
    'Unsupported preallocation mode: metadata',
  ],
  [
    /^option 'preallocation' for creating a raw image cannot be '(.*)'$/,
    'invalid parameter value: $1',
  ],
  [
    /^option 'compression_type' for .* cannot be '(.*)'$/,
    "Parameter 'compression-type' does not accept value '$1'",
  ],
  [/^option 'compat' for .* cannot be '(.*)'$/, "Parameter 'version' does not accept value '$1'"],
  [/^option 'encrypt\.(.*)' for .* cannot be '(.*)'$/, "Parameter '$1' does not accept value '$2'"],
  [
    /^a data file was given \('.*'\), but the image keeps its data itself$/,
    "'data-file' can only be set for images with an external data file",
  ],
  [/^data_file_raw needs a data file$/, 'data-file-raw requires data-file'],
  [
    /^compat=0\.10 has no external data files$/,
    'External data files are only supported with compatibility level 1.1 and above (use version=v3 or greater)',
  ],
  [
    /^a backing file and data_file_raw exclude each other$/,
    'Backing file and data-file-raw cannot be used at the same time',
  ],
  [
    /^a disk of \d+ bytes is too large for clusters of \d+ bytes$/,
    "The image size is too large for file format 'qcow2' (try using a larger cluster size)",
  ],
  [
    /^\d+ bytes are more than a QED image with cluster_size (\d+) and table_size (\d+) can have$/,
    (clusterSize, tableSize) => {
      const entries = (Number(clusterSize) * Number(tableSize)) / 8;
      return `QED image size must be a non-zero multiple of cluster size and less than ${entries * entries * Number(clusterSize)} bytes`;
    },
  ],
  [/^the tables cannot describe \d+ bytes$/, 'Invalid image size specified'],
  [/^The new size must be a multiple of 512$/, 'Invalid image size specified'],
  [/^a QED image can't grow with preallocation '(.*)'$/, "Unsupported preallocation mode '$1'"],
  [
    /^a raw image has no metadata, so there is no preallocation '(.*)'$/,
    'Unsupported preallocation mode: $1',
  ],
  [/^a disk can't have a size of \d+ bytes$/, 'Failed to grow the L1 table: File too large'],
  [/^\S+ images can't change their backing file$/, 'Operation not supported'],
  [
    /^its data file has to be the whole disk, so the image can have no backing file$/,
    'Invalid argument',
  ],
  [
    /^encryption=on is another name of encrypt\.format$/,
    "'encrypt.format' and its alias 'encryption' can't be used at the same time",
  ],
  [/^refcounts of \d+ bits cannot count \d+ references to one cluster$/, 'Invalid argument'],
  [/^an image with an external data file cannot have snapshots$/, 'Operation not supported'],
  [/^a bitmap can't have a granularity of \d+$/, 'Granularity must be power of 2 and at least 512'],
  [
    /^the new size must be a multiple of 512, and \d+ is none$/,
    'The new size must be a multiple of 512',
  ],
  [/^storages of '(.*):' can't be made$/, "Protocol driver '$1' does not support image creation"],
  [/^option '(.*)' for .* cannot be '(.*)'$/, "Parameter '$1' does not accept value '$2'"],
  [
    /^unknown option '(.*)' for opening a (raw|qcow2) image$/,
    "Block format '$2' does not support the option '$1'",
  ],
  [
    /^unknown option '(.*)' for opening a QED image$/,
    "Block format 'qed' does not support the option '$1'",
  ],
  [/^\S+ images can't have a backing file$/, "Driver doesn't support backing files"],
  [/^the image names no backing file$/, 'A block device must be specified for "file"'],
  [
    /^the disk's 0 bytes from offset (\d+) reach past the storage's (\d+) bytes$/,
    'Offset ($1) cannot be greater than size of the containing file ($2)',
  ],
  [
    /^the disk's (\d+) bytes from offset (\d+) reach past the storage's (\d+) bytes$/,
    'The sum of offset ($2) and size ($1) has to be smaller or equal to the  actual size of the containing file ($3)',
  ],
  [/^compat=0\.10 has refcounts of 16 bits only/, 'compat=0.10 requires refcount_bits=16'],
  [/^a QED image cannot be made smaller$/, 'Shrinking images is currently not supported'],
  [/^version 2 images cannot store bitmaps$/, 'Cannot store dirty bitmaps in qcow2 v2 files'],
  [/^no driver is registered for '(.*)'$/, "Unknown driver '$1'"],
  [/^no storage driver serves '(.*):'$/, "Unknown protocol '$1'"],
  [/^the file name is empty$/, "The 'file' block driver requires a file name"],
];

/** The text for a problem, if it is known. */
export function knownText(problem: string): string | undefined {
  for (const [pattern, text] of KNOWN) {
    const match = pattern.exec(problem);
    if (match !== null) {
      return typeof text === 'function'
        ? text(...match.slice(1))
        : text.replace(/\$(\d)/g, (_all, group: string) => match[Number(group)] ?? '');
    }
  }
  return undefined;
}
