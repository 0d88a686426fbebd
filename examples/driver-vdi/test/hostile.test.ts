import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorCode, isLamellaError, MemoryStorage } from '@lamella/core';
import { BoundedStorage } from '@lamella/driver-testkit';
import { VdiDriver } from '@lamella-examples/driver-vdi';
import { Lamella } from 'lamella';
import t from 'tap';
import { FIELD, NEVER_WRITTEN, sampleImage, setField } from './sample.js';

const GOOD = sampleImage({ map: [0, NEVER_WRITTEN, 1] });

type Damage = (view: DataView) => void;
const set =
  (name: keyof typeof FIELD, value: number): Damage =>
  (view) =>
    setField(view, name, value);

/** Opens an image and reads all of it, on a storage that refuses reads out of proportion. */
async function readAll(image: Uint8Array): Promise<ErrorCode | 'fine'> {
  const storage = new BoundedStorage(MemoryStorage.from(image), {
    maxCalls: 200,
    maxLength: 64 * 1024,
    mayChange: false,
  });
  try {
    const opened = await new VdiDriver().open(storage, { writable: false });
    for (let offset = 0; offset < Math.min(opened.size, 2 ** 20); ) {
      offset += (await opened.map(offset, opened.size - offset)).length;
    }
    return 'fine';
  } catch (error) {
    if (!isLamellaError(error)) {
      throw error;
    }
    return error.code;
  }
}

const REFUSED: readonly (readonly [what: string, expected: ErrorCode, damage: Damage])[] = [
  ['no signature', 'WRONG_FORMAT', set('signature', 0)],
  ['the version before', 'UNSUPPORTED', set('version', 0x00000002)],
  ['a version to come', 'UNSUPPORTED', set('version', 0x00020000)],
  ['a short header', 'INVALID_HEADER', set('headerLength', 0x100)],
  ['type 0', 'INVALID_HEADER', set('type', 0)],
  ['an undo image', 'UNSUPPORTED', set('type', 3)],
  ['a differencing image', 'UNSUPPORTED', set('type', 4)],
  ['a parent', 'UNSUPPORTED', set('parent', 1)],
  ['a disk above 2^53 bytes', 'LIMIT_EXCEEDED', set('sizeHigh', 0x00200000)],
  ['a disk of 2^64 - 1 bytes', 'LIMIT_EXCEEDED', set('sizeHigh', 0xffffffff)],
  ['a disk larger than its blocks', 'INVALID_HEADER', set('size', 3 * 4096 + 1)],
  ['blocks of 0 bytes', 'INVALID_HEADER', set('blockSize', 0)],
  ['blocks of 3000 bytes', 'INVALID_HEADER', set('blockSize', 3000)],
  ['blocks of 2 GiB', 'LIMIT_EXCEEDED', set('blockSize', 2 ** 31)],
  ['blocks with extra bytes', 'UNSUPPORTED', set('blockExtra', 512)],
  ['too few blocks', 'INVALID_HEADER', set('blocks', 2)],
  ['2^32 - 1 blocks', 'INVALID_HEADER', set('blocks', 0xffffffff)],
  ['a block map within the header', 'INVALID_HEADER', set('mapOffset', 0x100)],
  ['a block map at an odd byte', 'INVALID_HEADER', set('mapOffset', 0x201)],
  ['a block map behind the blocks', 'INVALID_HEADER', set('mapOffset', 0xfffffff0)],
  ['blocks within the block map', 'INVALID_HEADER', set('dataOffset', 0x204)],
  [
    'a block map behind the end of the file',
    'TRUNCATED',
    (view) => {
      setField(view, 'mapOffset', 0x7fff0000);
      setField(view, 'dataOffset', 0x7fffff00);
    },
  ],
  [
    'a block map that is longer than the file',
    'TRUNCATED',
    (view) => {
      setField(view, 'blocks', 0x3fff0000);
      setField(view, 'dataOffset', 0xfffffe00);
    },
  ],
  ['a block behind the end of the file', 'CORRUPT', (view) => view.setUint32(0x200, 2, true)],
  ['a block at 2^32 blocks', 'CORRUPT', (view) => view.setUint32(0x200, 0xfffffffd, true)],
  ['all blocks behind the file', 'CORRUPT', set('dataOffset', 0xfffffe00)],
];

t.test('images made to do harm are refused, with a code that says why', async (t) => {
  t.equal(await readAll(GOOD.image), 'fine', 'what they were made from is fine');
  for (const [what, expected, damage] of REFUSED) {
    const image = GOOD.image.slice();
    damage(new DataView(image.buffer));
    t.equal(await readAll(image), expected, what);
  }
});

t.test('an image cut anywhere is refused, at the latest where something is missing', async (t) => {
  for (const length of [0, 3, 0x43, 0x80, 0x1c7, 0x1c8, 0x203, 0x20b, 0x300, 0x1400, 0x23ff]) {
    const code = await readAll(GOOD.image.slice(0, length));
    const expected = length < 0x44 ? 'WRONG_FORMAT' : length < 0x20c ? 'TRUNCATED' : 'CORRUPT';
    t.equal(code, expected, `${length} bytes`);
  }
});

t.test('a block map of 2 GiB in a file of holes takes little memory', async (t) => {
  const path = join(t.testdir(), 'huge.vdi');
  const image = GOOD.image.slice();
  const view = new DataView(image.buffer);
  setField(view, 'blocks', 2 ** 29);
  setField(view, 'blockSize', 2 ** 20);
  setField(view, 'size', 0);
  setField(view, 'sizeHigh', 2 ** 17);
  setField(view, 'dataOffset', 2 ** 31 + 0x200);
  await writeFile(path, image.subarray(0, 0x200));
  await truncate(path, 2 ** 31 + 0x200 + 2 ** 20);

  const before = process.memoryUsage.rss();
  await using disk = await new Lamella().register(VdiDriver).open(path);
  t.equal(disk.size, 2 ** 49);
  for (let offset = 0; offset < disk.size; offset += 2 ** 37) {
    await disk.read(new Uint8Array(512), offset);
  }
  const grown = process.memoryUsage.rss() - before;
  t.ok(grown < 100 * 2 ** 20, `${Math.round(grown / 2 ** 20)} MiB more`);
});
