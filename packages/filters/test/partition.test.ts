import { crc32 } from 'node:zlib';
import { MemoryStorage } from '@lamella/core';
import { readPartitions } from '@lamella/filters';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { bytesOf, withFilters } from './helpers.js';

const SECTOR = 512;
const SECTORS = 2048;

function record(sector: Buffer, index: number, type: number, first: number, count: number): void {
  const at = 446 + index * 16;
  sector[at + 4] = type;
  sector.writeUInt32LE(first, at + 8);
  sector.writeUInt32LE(count, at + 12);
  sector.writeUInt16LE(0xaa55, 510);
}

/** Two primary partitions (the first and third records) and two logical ones. */
function mbrDisk(): Buffer {
  const disk = Buffer.alloc(SECTORS * SECTOR);
  const sector = (number: number) => disk.subarray(number * SECTOR, (number + 1) * SECTOR);
  record(sector(0), 0, 0x83, 64, 128);
  record(sector(0), 1, 0x05, 1000, 1000);
  record(sector(0), 2, 0x07, 256, 100);
  record(sector(1000), 0, 0x83, 8, 16);
  record(sector(1000), 1, 0x05, 500, 100);
  record(sector(1500), 0, 0x82, 4, 32);
  return disk;
}

function gptDisk(): Buffer {
  const disk = Buffer.alloc(SECTORS * SECTOR);
  record(disk.subarray(0, SECTOR), 0, 0xee, 1, SECTORS - 1);
  const entries = Buffer.alloc(128 * 128);
  const entry = entries.subarray(2 * 128, 3 * 128);
  Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex').copy(entry);
  entry.fill(1, 16, 32);
  entry.writeBigUInt64LE(100n, 32);
  entry.writeBigUInt64LE(299n, 40);
  entry.write('root file system', 56, 'utf16le');
  const table = (own: number, other: number, first: number) => {
    const header = Buffer.alloc(SECTOR);
    header.write('EFI PART', 'latin1');
    header.writeUInt32LE(0x1_0000, 8);
    header.writeUInt32LE(92, 12);
    header.writeBigUInt64LE(BigInt(own), 24);
    header.writeBigUInt64LE(BigInt(other), 32);
    header.writeBigUInt64LE(BigInt(first), 72);
    header.writeUInt32LE(128, 80);
    header.writeUInt32LE(128, 84);
    header.writeUInt32LE(crc32(entries), 88);
    header.writeUInt32LE(crc32(header.subarray(0, 92)), 16);
    header.copy(disk, own * SECTOR);
    entries.copy(disk, first * SECTOR);
  };
  table(1, SECTORS - 1, 2);
  table(SECTORS - 1, 1, SECTORS - 33);
  return disk;
}

t.test('MBR: primary and logical partitions', async (t) => {
  t.same(await readPartitions(MemoryStorage.from(mbrDisk()), SECTOR), [
    { number: 1, offset: 64 * SECTOR, length: 128 * SECTOR, type: '0x83' },
    { number: 3, offset: 256 * SECTOR, length: 100 * SECTOR, type: '0x07' },
    { number: 5, offset: 1008 * SECTOR, length: 16 * SECTOR, type: '0x83' },
    { number: 6, offset: 1504 * SECTOR, length: 32 * SECTOR, type: '0x82' },
  ]);
});

t.test('GPT: the first table, or its copy at the end', async (t) => {
  const disk = gptDisk();
  const expected = [
    {
      number: 3,
      offset: 100 * SECTOR,
      length: 200 * SECTOR,
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
      name: 'root file system',
    },
  ];
  t.same(await readPartitions(MemoryStorage.from(disk), SECTOR), expected);
  disk[SECTOR + 40] = 1;
  t.same(await readPartitions(MemoryStorage.from(disk), SECTOR), expected, 'a damaged first one');
  disk[(SECTORS - 1) * SECTOR + 40] = 1;
  await t.rejects(readPartitions(MemoryStorage.from(disk), SECTOR), { code: 'INVALID_HEADER' });
});

t.test('a partition is a disk of its own', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  await lamella.create(at('a.qcow2'), { format: 'qcow2', size: SECTORS * SECTOR });
  await using disk = await lamella.open(at('a.qcow2'), { writable: true });
  await disk.write(mbrDisk(), 0);
  {
    await using part = await lamella.filter(disk, { format: 'partition', options: { number: 5 } });
    t.equal(part.size, 16 * SECTOR);
    await part.write(Buffer.alloc(part.size, 0xaa), 0);
    await part.writeZeroes(SECTOR, SECTOR);
    await t.rejects(part.write(Buffer.alloc(1), part.size), { code: 'OUT_OF_RANGE' });
    await t.rejects(part.resize(SECTOR), { code: 'UNSUPPORTED' });
    t.match(part.layers[0]?.options, { number: 5, offset: 1008 * SECTOR, type: '0x83' });
  }
  const expected = mbrDisk();
  expected.fill(0xaa, 1008 * SECTOR, 1024 * SECTOR);
  expected.fill(0, 1009 * SECTOR, 1010 * SECTOR);
  t.ok((await bytesOf(disk)).equals(expected));
});

t.test('tables that are damaged or absurd', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  const tries: [string, (disk: Buffer) => void, string, Buffer?][] = [
    ['no table', (disk) => disk.fill(0, 510, 512), 'WRONG_FORMAT'],
    ['no such partition', (disk) => disk.fill(0, 446, 462), 'NOT_FOUND'],
    ['past the end', (disk) => disk.writeUInt32LE(SECTORS, 446 + 12), 'INVALID_HEADER'],
    ['over the table', (disk) => disk.writeUInt32LE(0, 446 + 8), 'INVALID_HEADER'],
    ['a circle', (disk) => disk.writeUInt32LE(0, 1000 * SECTOR + 446 + 24), 'LIMIT_EXCEEDED'],
    ['a lost record', (disk) => disk.fill(0, 1500 * SECTOR, 1501 * SECTOR), 'INVALID_HEADER'],
    [
      'very many partitions',
      (disk) => {
        for (const at of [SECTOR, (SECTORS - 1) * SECTOR]) {
          disk.writeUInt32LE(0xffff_ffff, at + 80);
          disk.writeUInt32LE(0, at + 16);
          disk.writeUInt32LE(crc32(disk.subarray(at, at + 92)), at + 16);
        }
      },
      'LIMIT_EXCEEDED',
      gptDisk(),
    ],
  ];
  for (const [name, damage, code, bytes = mbrDisk()] of tries) {
    await lamella.create(at('a.raw'), { format: 'raw', size: bytes.length, overwrite: true });
    damage(bytes);
    await using disk = await lamella.open(at('a.raw'), { format: 'raw', writable: true });
    await disk.write(bytes, 0);
    await t.rejects(lamella.filter(disk, { format: 'partition' }), { code }, name);
  }
});
