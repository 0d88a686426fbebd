/** A text for a problem, or how to make one of the pattern's groups. */
export type KnownText = string | ((...groups: readonly string[]) => string);

const bitMask = (bits: readonly string[]): string =>
  bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n).toString(16);

/** Features as qcow2's header names them; those without a name as one number. */
function unknownFeatures(list: string): string {
  const parts = list.split(', ');
  const bit = /^incompatible feature (\d+)$/;
  const bits = parts.flatMap((part) => bit.exec(part)?.[1] ?? []);
  const named = parts.filter((part) => !bit.test(part));
  const rest = bits.length === 0 ? [] : [`Unknown incompatible feature: ${bitMask(bits)}`];
  return `Unsupported qcow2 feature(s): ${[...named, ...rest].join(', ')}`;
}

const TABLES = {
  L1: 'Active L1 table',
  refcount: 'Reference count table',
  snapshot: 'Snapshot table',
};

function tableName(name: string): string {
  return name === 'L1' ? TABLES.L1 : name === 'refcount' ? TABLES.refcount : TABLES.snapshot;
}

/** What qemu-img says of headers that make no sense, for what the built-in drivers say. */
export const HEADER_PROBLEMS: readonly (readonly [problem: RegExp, text: KnownText])[] = [
  [/^qcow2 version (\d+) is not supported$/, 'Unsupported qcow2 version $1'],
  [/^the (version 3 )?header ends after \d+ bytes$/, 'qcow2 header too short'],
  [/^cluster_bits is (\d+)$/, 'Unsupported cluster size: 2^$1'],
  [/^the image uses unknown features: (.*)$/, unknownFeatures],
  [
    /^header_length is (\d+)$/,
    (length) => `qcow2 header ${Number(length) > 512 ? 'exceeds cluster size' : 'too short'}`,
  ],
  [
    /^header extension 0x[0-9a-f]+ of \d+ bytes reaches past the header area$/,
    'Header extension too large',
  ],
  [/^refcount_order is \d+$/, 'Reference count entry width too large; may not exceed 64 bits'],
  [
    /^compression_type is (\d+)$/,
    (type) =>
      type === '0' || type === '1'
        ? `qcow2: Compression type incompatible feature bit must ${type === '0' ? 'not ' : ''}be set`
        : `qcow2: unknown compression type: ${type}`,
  ],
  [/^compression type (\d+) is unknown$/, 'qcow2: unknown compression type: $1'],
  [/^encryption method (\d+) is unknown$/, 'Unsupported encryption method $1'],
  [
    /^the backing file name lies at bytes (\d+) to (\d+)$/,
    (from, to) =>
      Number(from) >= 512 && Number(to) - Number(from) < 100
        ? 'Invalid backing file offset'
        : 'Backing file name too long',
  ],
  [/^the backing file name has \d+ bytes$/, 'Backing file name too long'],
  [/^the L1 table (has \d+ entries, too few for .*|is too small)$/, 'L1 table is too small'],
  [/^the L1 table (has \d+ entries|is too large)$/, 'Active L1 table too large'],
  [/^the image has no refcount table$/, 'Image does not contain a reference count table'],
  [/^the refcount table (has \d+ bytes|is too large)$/, 'Reference count table too large'],
  [
    /^the (L1|refcount|snapshot) table is (?:at byte \d+|not aligned to clusters)$/,
    (name) => `${tableName(name)} offset invalid`,
  ],
  [/^the image says it has \d+ snapshots$/, 'Snapshot table too large'],
  [/^l1_table_offset is 0x[0-9a-f]+, beyond 8 PiB$/, 'Active L1 table offset invalid'],
  [/^refcount_table_offset is 0x[0-9a-f]+, beyond 8 PiB$/, 'Reference count table offset invalid'],
  [/^snapshots_offset is 0x[0-9a-f]+, beyond 8 PiB$/, 'Snapshot table offset invalid'],
  [/^size is 0x[0-9a-f]+, beyond 8 PiB$/, 'Image is too big'],
  [/^the image is marked as corrupt$/, 'qcow2: Image is corrupt; cannot be opened read/write'],
  [/^the image has a data file, but names none$/, "'data-file' is required for this image"],
  [/^the data file is to be raw, but there is none$/, 'data-file-raw requires a data file'],
  [
    /^the image uses unknown incompatible features: bit (.*)$/,
    (bits) => `Unsupported QED features: ${bitMask(bits.split(', '))}`,
  ],
  [/^the cluster size is \d+ bytes; it must be a power of two/, 'QED cluster size is invalid'],
  [/^the table size is \d+ clusters; it must be a power of two/, 'QED table size is invalid'],
  [/^the header's \d+ clusters of \d+ bytes reach past/, 'QED table offset is invalid'],
  [/^the L1 table (is at \d+, |of \d+ bytes at \d+ reaches)/, 'QED table offset is invalid'],
  [/^the offset of the L1 table is 0x[0-9a-f]+, beyond 8 PiB$/, 'QED table offset is invalid'],
  [/^the size of the disk is 0x[0-9a-f]+, beyond 8 PiB$/, 'QED image size is invalid'],
  [
    /^the disk has \d+ bytes(, which is no multiple of 512|; the tables can describe \d+)$/,
    'QED image size is invalid',
  ],
  [/^the backing filename of \d+ bytes at \d+ reaches/, 'QED backing filename offset is invalid'],
  [/^the backing filename has \d+ bytes; at most/, 'Failed to read backing filename'],
];
