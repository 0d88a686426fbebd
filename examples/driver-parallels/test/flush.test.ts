import { MemoryStorage } from '@lamella/core';
import { FaultyStorage, LastingStorage, storageContent } from '@lamella/driver-testkit';
import { ParallelsDriver } from '@lamella-examples/driver-parallels';
import { Disk } from 'lamella';
import t from 'tap';

const SECTOR = 512;
const CLUSTERS = 5000;
const driver = new ParallelsDriver();

/** A disk with a table of several pages, on a storage that fails when it is told to. */
async function newDisk() {
  const inner = new MemoryStorage();
  await driver.create(inner, {
    size: CLUSTERS * SECTOR,
    options: { cluster_size: SECTOR, magic: 'WithouFreSpacExt' },
  });
  const storage = new FaultyStorage(new LastingStorage(inner));
  const image = await driver.open(storage, { writable: true });
  return {
    inner,
    storage,
    disk: new Disk([{ format: 'parallels', storage, image, writable: true }]),
  };
}

async function reopened(inner: MemoryStorage): Promise<Buffer> {
  const storage = MemoryStorage.from(await storageContent(inner));
  const image = await driver.open(storage, { writable: false });
  await using disk = new Disk([{ format: 'parallels', storage, image, writable: false }]);
  const content = Buffer.alloc(disk.size);
  await disk.read(content, 0);
  return content;
}

t.test('a flush that failed is made good by the next one, in all of the table', async (t) => {
  const { inner, storage, disk } = await newDisk();
  const expected = Buffer.alloc(disk.size);
  for (const [round, failing] of (['write', 'flush', 'discard'] as const).entries()) {
    const offset = (1000 + round * 1500) * SECTOR;
    const bytes = Buffer.alloc(3 * SECTOR, round + 1);
    await disk.write(bytes, offset);
    bytes.copy(expected, offset);
    await disk.discard(offset + SECTOR, SECTOR);
    expected.fill(0, offset + SECTOR, offset + 2 * SECTOR);
    storage.fails = ({ method }) => method === failing;
    await t.rejects(disk.flush(), { code: 'IO_ERROR' }, `${failing} fails`);
    storage.fails = () => false;
    await disk.flush();
    t.ok(expected.equals(await reopened(inner)), 'then everything is there');
  }
  await disk.close();
});

t.test('writes that failed take no space', async (t) => {
  const { inner, storage, disk } = await newDisk();
  await disk.write(Buffer.alloc(SECTOR, 1), 0);
  const before = inner.size;
  storage.fails = ({ method }) => method.startsWith('write');
  for (let attempt = 1; attempt <= 10; attempt += 1) {
    await t.rejects(disk.write(Buffer.alloc(10, 2), attempt * 100 * SECTOR), { code: 'IO_ERROR' });
  }
  storage.fails = () => false;
  await disk.write(Buffer.alloc(10, 3), 4000 * SECTOR);
  t.equal(inner.size, before + SECTOR);
  await disk.close();
});

t.test('entries behind the end of the disk do not show when it grows', async (t) => {
  const { inner, disk } = await newDisk();
  await disk.write(Buffer.alloc(disk.size, 1), 0);
  await disk.close();
  const image = await storageContent(inner);
  new DataView(image.buffer, image.byteOffset).setUint32(36, 1000, true);
  const storage = MemoryStorage.from(image);
  const opened = await driver.open(storage, { writable: true });
  const shorter = new Disk([{ format: 'parallels', storage, image: opened, writable: true }]);
  t.equal(shorter.size, 1000 * SECTOR);
  await shorter.resize(CLUSTERS * SECTOR);
  const expected = Buffer.alloc(CLUSTERS * SECTOR).fill(1, 0, 1000 * SECTOR);
  await shorter.flush();
  t.ok(expected.equals(await reopened(storage)));
  await shorter.close();
});
