import t from 'tap';
import { type BadImage, refuses } from './support/bad-image.js';
import {
  be32,
  be64,
  type Edit,
  edited,
  QCOW2,
  qcow2Pointer,
  readBe64,
  text,
  withBacking,
} from './support/edits.js';
import { golden } from './support/golden.js';

const v2 = golden('v2.qcow2');
const v3 = golden('v3.qcow2');
const extended = golden('extended.qcow2');
const compressed = golden('compressed.qcow2');
const HUGE = 2n ** 63n - 512n;

/** The v3 image with some fields changed. */
function bad(name: string, code: BadImage['code'], ...edits: readonly Edit[]): BadImage {
  return { name, code, bytes: edited(v3, ...edits) };
}

t.test('a file that ends within the header, at every length', async (t) => {
  const cut = (image: Uint8Array, name: string, headerLength: number): BadImage[] =>
    Array.from({ length: headerLength }, (_, length) => ({
      name: `${name}, ${length} bytes`,
      bytes: image.slice(0, length),
      code: length < 4 ? ['TRUNCATED', 'WRONG_FORMAT'] : 'TRUNCATED',
    }));
  await refuses(t, 'qcow2', cut(v2, 'version 2', 72));
  await refuses(t, 'qcow2', cut(v3, 'version 3', 112));
  await refuses(
    t,
    'qcow2',
    [512, 513, 1535, 1536, 1537, 1559].map((length) => ({
      name: `cut at ${length}, before the end of the L1 table`,
      bytes: v3.slice(0, length),
      code: 'TRUNCATED',
    })),
  );
});

t.test('found by content, a header cut short is still no raw disk', async (t) => {
  await refuses(
    t,
    undefined,
    [4, 8, 40, 71].map((length) => ({
      name: `${length} bytes`,
      bytes: v3.slice(0, length),
      code: 'TRUNCATED',
    })),
  );
  await refuses(t, undefined, [
    bad('version 1', 'UNSUPPORTED', be32(QCOW2.version, 1)),
    bad('version 4', 'UNSUPPORTED', be32(QCOW2.version, 4)),
  ]);
});

t.test('not of the format', async (t) => {
  await refuses(t, 'qcow2', [
    { name: 'QED', bytes: golden('plain.qed'), code: 'WRONG_FORMAT' },
    { name: 'zeroes', bytes: new Uint8Array(4096), code: 'WRONG_FORMAT' },
    { name: 'an empty file', bytes: new Uint8Array(0), code: ['WRONG_FORMAT', 'TRUNCATED'] },
    bad('magic off by one', 'WRONG_FORMAT', be32(0, 0x514649fc)),
    bad('version 0', 'UNSUPPORTED', be32(QCOW2.version, 0)),
    bad('version 2^32-1', 'UNSUPPORTED', be32(QCOW2.version, 0xffff_ffff)),
  ]);
});

t.test('header fields', async (t) => {
  await refuses(t, 'qcow2', [
    ...[0, 8, 22, 63, 64, 0xffff_ffff].map((bits) =>
      bad(`cluster_bits ${bits}`, 'INVALID_HEADER', be32(QCOW2.clusterBits, bits)),
    ),
    ...[7, 63, 0xffff_ffff].map((order) =>
      bad(`refcount_order ${order}`, 'INVALID_HEADER', be32(QCOW2.refcountOrder, order)),
    ),
    ...[0, 72, 103, 105, 520, 0xffff_fff8].map((length) =>
      bad(`header_length ${length}`, 'INVALID_HEADER', be32(QCOW2.headerLength, length)),
    ),
    bad('size 2^63', 'LIMIT_EXCEEDED', be64(QCOW2.size, HUGE)),
    bad('size 2^53', 'LIMIT_EXCEEDED', be64(QCOW2.size, 2n ** 53n)),
    bad('a size for 2^40 L1 entries', 'INVALID_HEADER', be64(QCOW2.size, 2n ** 52n)),
    bad('encryption AES', 'PASSPHRASE_REQUIRED', be32(QCOW2.cryptMethod, 1)),
    bad('encryption LUKS', 'PASSPHRASE_REQUIRED', be32(QCOW2.cryptMethod, 2)),
    bad('encryption 7', 'UNSUPPORTED', be32(QCOW2.cryptMethod, 7)),
    bad('data file without a name', 'INVALID_ARGUMENT', be64(QCOW2.incompatible, 4n)),
    bad('unknown incompatible feature', 'UNSUPPORTED', be64(QCOW2.incompatible, 2n ** 63n)),
    bad('extended L2 with small clusters', 'INVALID_HEADER', be64(QCOW2.incompatible, 16n)),
    bad('compression type without its bit', 'INVALID_HEADER', {
      at: QCOW2.compressionType,
      bytes: Uint8Array.of(1),
    }),
    bad('compression type 9', 'UNSUPPORTED', be64(QCOW2.incompatible, 8n), {
      at: QCOW2.compressionType,
      bytes: Uint8Array.of(9),
    }),
  ]);
});

t.test('tables that the header points to', async (t) => {
  const end = BigInt(v3.length);
  const places = (name: string, field: number): BadImage[] => [
    bad(`${name} at 0`, 'INVALID_HEADER', be64(field, 0n)),
    bad(`${name} unaligned`, 'INVALID_HEADER', be64(field, 513n)),
    bad(`${name} behind the end`, 'TRUNCATED', be64(field, 512n * (end / 512n + 1n))),
    bad(`${name} at 2^52`, 'TRUNCATED', be64(field, 2n ** 52n)),
    bad(`${name} at 2^63`, 'LIMIT_EXCEEDED', be64(field, HUGE)),
  ];
  await refuses(t, 'qcow2', [
    ...places('L1 table', QCOW2.l1Offset),
    bad('2^32-1 L1 entries', 'LIMIT_EXCEEDED', be32(QCOW2.l1Size, 0xffff_ffff)),
    bad('L1 table past the end', 'TRUNCATED', be32(QCOW2.l1Size, 1_000_000)),
    bad('L1 table too small', 'INVALID_HEADER', be32(QCOW2.l1Size, 1)),
    bad('no L1 table', 'INVALID_HEADER', be32(QCOW2.l1Size, 0)),
    ...places('refcount table', QCOW2.refcountTableOffset),
    bad('huge refcount table', 'LIMIT_EXCEEDED', be32(QCOW2.refcountTableClusters, 0xffff_ffff)),
    bad('refcount table past the end', 'TRUNCATED', be32(QCOW2.refcountTableClusters, 1000)),
    bad('no refcount table', 'INVALID_HEADER', be32(QCOW2.refcountTableClusters, 0)),
    ...places('snapshot table', QCOW2.snapshotsOffset).map((image) => ({
      ...image,
      bytes: edited(image.bytes, be32(QCOW2.snapshotCount, 1)),
    })),
    bad('2^32-1 snapshots', 'LIMIT_EXCEEDED', be32(QCOW2.snapshotCount, 0xffff_ffff)),
  ]);
});

t.test('header extensions and the backing file name', async (t) => {
  const named = withBacking(v3, 'base.raw', 'raw');
  const at = (offset: bigint, length: number) => [
    be64(QCOW2.backingOffset, offset),
    be32(QCOW2.backingLength, length),
  ];
  await refuses(t, 'qcow2', [
    bad('extension of 2^32-1 bytes', 'INVALID_HEADER', be32(112, 0x1234), be32(116, 0xffff_ffff)),
    bad('extension past the cluster', 'INVALID_HEADER', be32(112, 0x1234), be32(116, 393)),
    {
      name: 'extension into the name',
      bytes: edited(named, be32(116, 64)),
      code: 'INVALID_HEADER',
    },
    bad('name of 1024 bytes', 'INVALID_HEADER', ...at(120n, 1024)),
    bad('name of 2^32-1 bytes', 'INVALID_HEADER', ...at(120n, 0xffff_ffff)),
    bad('name past the first cluster', 'INVALID_HEADER', ...at(500n, 100)),
    bad('name at 2^40', 'INVALID_HEADER', ...at(2n ** 40n, 10)),
    bad('name at 2^63', 'LIMIT_EXCEEDED', ...at(HUGE, 10)),
    bad('name within the header', 'INVALID_HEADER', ...at(8n, 10)),
    {
      name: 'name not UTF-8',
      bytes: withBacking(v3, Uint8Array.of(0x61, 0xff, 0xfe)),
      code: 'INVALID_HEADER',
    },
    {
      name: 'name with a NUL',
      bytes: withBacking(v3, 'a\0b'),
      code: ['INVALID_HEADER', 'INVALID_ARGUMENT'],
    },
    {
      name: 'unknown backing format',
      bytes: withBacking(v3, 'bad.img', 'vmdk'),
      code: 'UNKNOWN_FORMAT',
    },
  ]);
});

t.test('pointers: the image opens, reading through a bad one is an error', async (t) => {
  const l1 = readBe64(v3, QCOW2.l1Offset);
  const l2 = qcow2Pointer(v3, l1);
  const end = BigInt(Math.ceil(v3.length / 512) * 512);
  const COPIED = 2n ** 63n;
  // Guest cluster 1 holds data in v3.qcow2, so its entry is the second of the first L2 table.
  const entry = (name: string, value: bigint): BadImage => ({
    name: `L2 entry ${name}`,
    bytes: edited(v3, be64(l2 + 8, value)),
    code: 'CORRUPT',
    when: 'read',
    offset: 512,
  });
  await refuses(t, 'qcow2', [
    ...[
      { name: 'behind the end', value: COPIED | end },
      { name: 'at 2^55', value: COPIED | (2n ** 55n) },
      { name: 'unaligned', value: (COPIED | 4096n) + 1024n + 256n },
      { name: 'with reserved bits', value: COPIED | 4096n | (2n ** 58n) },
    ].map(({ name, value }) => entry(name, value)),
    ...[
      { name: 'behind the end', value: COPIED | end },
      { name: 'at 2^55', value: COPIED | (2n ** 55n) },
    ].map(({ name, value }) => ({
      name: `L1 entry ${name}`,
      bytes: edited(v3, be64(l1, value)),
      code: 'CORRUPT' as const,
      when: 'read' as const,
    })),
  ]);

  const unaligned = golden('compressed.qcow2');
  const l1c = readBe64(unaligned, QCOW2.l1Offset);
  await refuses(t, 'qcow2', [
    {
      name: 'L1 entry unaligned',
      bytes: edited(unaligned, be64(l1c, COPIED | BigInt(qcow2Pointer(unaligned, l1c) + 512))),
      code: 'CORRUPT',
      when: 'read',
    },
  ]);
});

t.test('compressed clusters and subclusters', async (t) => {
  const table = (image: Uint8Array) => qcow2Pointer(image, readBe64(image, QCOW2.l1Offset));
  const descriptor = BigInt(readBe64(compressed, table(compressed)) % 2 ** 52);
  const host = Number(descriptor);
  await refuses(t, 'qcow2', [
    {
      name: 'compressed data that are no stream',
      bytes: edited(compressed, text(host, '\u0007'.repeat(30))),
      code: 'CORRUPT',
      when: 'read',
    },
    {
      name: 'compressed data behind the end',
      bytes: edited(compressed, be64(table(compressed), (2n ** 62n) | (2n ** 50n))),
      code: 'CORRUPT',
      when: 'read',
    },
    {
      name: 'compressed data at another place',
      bytes: edited(compressed, be64(table(compressed), ((2n ** 62n) | descriptor) + 7n)),
      code: 'CORRUPT',
      when: 'read',
    },
    {
      name: 'a subcluster that is allocated and zero',
      bytes: edited(extended, be64(table(extended) + 8, 0x0000_0001_0000_0001n)),
      code: 'CORRUPT',
      when: 'read',
    },
    {
      name: 'an allocated subcluster without a host cluster',
      bytes: edited(extended, be64(table(extended), 0n), be64(table(extended) + 8, 1n)),
      code: 'CORRUPT',
      when: 'read',
    },
  ]);
});
