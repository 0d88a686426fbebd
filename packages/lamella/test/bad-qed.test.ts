import t from 'tap';
import { type BadImage, refuses } from './support/bad-image.js';
import { refusesToWrite } from './support/bad-write.js';
import { type Edit, edited, le32, le64, QED, qedWithBacking, readLe64 } from './support/edits.js';
import { golden } from './support/golden.js';

const plain = golden('plain.qed');
const HUGE = 2n ** 63n - 4096n;

function bad(name: string, code: BadImage['code'], ...edits: readonly Edit[]): BadImage {
  return { name, code, bytes: edited(plain, ...edits) };
}

t.test('a file that ends within the header or the L1 table', async (t) => {
  const cut = (length: number): BadImage => ({
    name: `${length} bytes`,
    bytes: plain.slice(0, length),
    code: length < 4 ? ['TRUNCATED', 'WRONG_FORMAT'] : 'TRUNCATED',
  });
  await refuses(
    t,
    'qed',
    Array.from({ length: 65 }, (_, length) => cut(length)),
  );
  await refuses(t, 'qed', [4095, 4096, 8192, 12_287].map(cut));
  await refuses(t, undefined, [4, 12, 63, 64, 4096].map(cut));
});

t.test('not of the format', async (t) => {
  await refuses(t, 'qed', [
    { name: 'qcow2', bytes: golden('v3.qcow2'), code: 'WRONG_FORMAT' },
    { name: 'zeroes', bytes: new Uint8Array(4096), code: 'WRONG_FORMAT' },
    bad('magic off by one', 'WRONG_FORMAT', le32(0, 0x00444552)),
  ]);
});

t.test('header fields', async (t) => {
  await refuses(t, 'qed', [
    ...[0, 1, 512, 2048, 4097, 6144, 2 ** 27, 0xffff_ffff].map((size) =>
      bad(`cluster_size ${size}`, 'INVALID_HEADER', le32(QED.clusterSize, size)),
    ),
    ...[0, 3, 32, 2 ** 31, 0xffff_ffff].map((size) =>
      bad(`table_size ${size}`, 'INVALID_HEADER', le32(QED.tableSize, size)),
    ),
    bad('header_size 0', 'INVALID_HEADER', le32(QED.headerSize, 0)),
    bad('header_size 2^32-1', 'TRUNCATED', le32(QED.headerSize, 0xffff_ffff)),
    bad('header_size over the L1 table', 'INVALID_HEADER', le32(QED.headerSize, 2)),
    bad('L1 table at 0', 'INVALID_HEADER', le64(QED.l1Offset, 0n)),
    bad('L1 table unaligned', 'INVALID_HEADER', le64(QED.l1Offset, 4608n)),
    bad('L1 table behind the end', 'TRUNCATED', le64(QED.l1Offset, 2n ** 30n)),
    bad('L1 table at 2^63', 'LIMIT_EXCEEDED', le64(QED.l1Offset, HUGE)),
    bad('large clusters, so the header is cut', 'TRUNCATED', le32(QED.clusterSize, 2 ** 26)),
    bad('image_size 2^63', 'LIMIT_EXCEEDED', le64(QED.imageSize, HUGE)),
    bad('image_size beyond the tables', 'INVALID_HEADER', le64(QED.imageSize, 2n ** 40n)),
    bad('image_size within a sector', 'INVALID_HEADER', le64(QED.imageSize, 1000n)),
    bad('unknown feature', 'UNSUPPORTED', le64(QED.features, 8n)),
    bad('unknown feature 63', 'UNSUPPORTED', le64(QED.features, 2n ** 63n)),
  ]);
});

t.test('backing file name', async (t) => {
  const at = (offset: number, length: number): Edit[] => [
    le64(QED.features, 1n),
    le32(QED.backingOffset, offset),
    le32(QED.backingLength, length),
  ];
  await refuses(t, 'qed', [
    bad('of 1024 bytes', 'INVALID_HEADER', ...at(64, 1024)),
    bad('of 2^32-1 bytes', 'INVALID_HEADER', ...at(64, 0xffff_ffff)),
    bad('past the header', 'INVALID_HEADER', ...at(4000, 100)),
    bad('at 2^32-1', 'INVALID_HEADER', ...at(0xffff_ffff, 10)),
    {
      name: 'not UTF-8',
      bytes: qedWithBacking(plain, Uint8Array.of(0x61, 0xff)),
      code: 'INVALID_HEADER',
    },
    { name: 'with a NUL', bytes: qedWithBacking(plain, 'a\0b'), code: 'INVALID_HEADER' },
  ]);
});

t.test('pointers: the image opens, reading through a bad one is an error', async (t) => {
  const l1 = readLe64(plain, QED.l1Offset);
  const l2 = readLe64(plain, l1);
  const end = BigInt(plain.length);
  const values = [
    { name: 'behind the end', value: end },
    { name: 'at 2^63', value: HUGE },
    { name: 'unaligned', value: 20_481n },
    { name: 'into the header', value: 512n },
    { name: 'to the L1 table', value: BigInt(l1) },
  ];
  const image = (name: string, at: number, value: bigint): BadImage => ({
    name,
    bytes: edited(plain, le64(at, value)),
    code: 'CORRUPT',
    when: 'read',
  });
  await refuses(t, 'qed', [
    ...values.map(({ name, value }) => image(`L2 entry ${name}`, l2, value)),
    ...values.map(({ name, value }) => image(`L1 entry ${name}`, l1, value)),
    image('L1 entry whose table is half behind the end', l1, end - 4096n),
  ]);
});

t.test('an unclean image that cannot be repaired is not touched', async (t) => {
  const l2 = readLe64(plain, readLe64(plain, QED.l1Offset));
  // Two guest clusters in one host cluster: no repair is right for both.
  const shared = le64(l2 + 8, BigInt(readLe64(plain, l2)));
  const unclean = [le64(QED.features, 2n), shared];
  await refusesToWrite(t, edited(plain, ...unclean), 'CORRUPT', 'unclean');
  await refusesToWrite(
    t,
    edited(plain, ...unclean, le64(QED.autoclear, 1n)),
    'CORRUPT',
    'unclean, with autoclear features',
  );
});
