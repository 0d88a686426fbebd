import { rmSync } from 'node:fs';
import { Disk } from '@lamella/core';
import { type FileStorage, FileStorageDriver } from '@lamella/platform-node';
import { needs, paths, qemuIo, run } from '@lamella/test-support';
import t from 'tap';
import { driver, KIB, MIB, pattern, sameBytes } from './helpers.js';

const files = new FileStorageDriver();
const at = paths(t);

const skip = needs('qemu-img', 'qemu-io');

async function openFile(path: string, writable: boolean): Promise<Disk> {
  const storage: FileStorage = await files.open(path, { writable });
  const image = await driver.open(storage, { writable });
  return new Disk([{ format: 'qed', storage, image, writable }]);
}

async function createFile(
  path: string,
  size: number,
  cluster_size: number,
  table_size: number,
): Promise<void> {
  const storage = await files.create(path, { overwrite: true });
  await driver.create(storage, { size, options: { cluster_size, table_size } });
  await storage.close();
}

async function readAt(disk: Disk, offset: number, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  await disk.read(buffer, offset);
  return buffer;
}

/** Every geometry of the specification: cluster_size 2^12 to 2^26, table_size 1 to 16. */
const ALL: readonly (readonly [number, number])[] = Array.from(
  { length: 15 },
  (_, i) => 2 ** (12 + i),
).flatMap((clusterSize) => [1, 2, 4, 8, 16].map((tableSize) => [clusterSize, tableSize] as const));

/**
 * Whether QEMU 7.2 can open it. It refuses table_size 1 ("table offset is invalid"), and geometries whose
 * largest disk has 2^64 bytes or more, because that number overflows ("image size is invalid").
 */
function qemuOpens([clusterSize, tableSize]: readonly [number, number]): boolean {
  const entries = (clusterSize * tableSize) / 8;
  return tableSize > 1 && entries * entries * clusterSize < 2 ** 64;
}

const GEOMETRIES = ALL.filter(qemuOpens);
const ONLY_HERE = ALL.filter((geometry) => !qemuOpens(geometry));

for (const [clusterSize, tableSize] of ONLY_HERE) {
  t.test(
    `written and read here only: cluster_size ${clusterSize}, table_size ${tableSize}`,
    async (t) => {
      const path = at('only.qed');
      const largest = ((clusterSize * tableSize) / 8) ** 2 * clusterSize;
      const size = Math.min(2 ** 52, largest);
      await createFile(path, size, clusterSize, tableSize);
      const disk = await openFile(path, true);
      const bytes = pattern(tableSize, 100 * KIB);
      await disk.write(bytes, size - 200 * KIB);
      await disk.write(bytes, 5 * KIB);
      t.match(await disk.check(), { corruptions: 0, leaks: 0 });
      await disk.close();
      const again = await openFile(path, false);
      t.ok(sameBytes(await readAt(again, size - 200 * KIB, 100 * KIB), bytes));
      t.ok(sameBytes(await readAt(again, 5 * KIB, 100 * KIB), bytes));
      t.match(await again.check(), { corruptions: 0, leaks: 0 });
      await again.close();
      rmSync(path);
    },
  );
}

t.test('what QEMU makes and then cannot open itself', skip, async (t) => {
  for (const [clusterSize, tableSize] of ONLY_HERE) {
    const path = at('unopened.qed');
    const options = `cluster_size=${clusterSize},table_size=${tableSize}`;
    try {
      run('qemu-img', 'create', '-q', '-f', 'qed', '-o', options, path, '200M');
    } catch {
      continue;
    }
    t.throws(() => run('qemu-img', 'check', '-f', 'qed', path), options);
    const disk = await openFile(path, true);
    t.equal(disk.size, 200 * MIB);
    await disk.close();
    rmSync(path);
  }
});

for (const [clusterSize, tableSize] of GEOMETRIES) {
  const name = `cluster_size ${clusterSize}, table_size ${tableSize}`;
  const path = at(`${clusterSize}-${tableSize}.qed`);
  const size = Math.max(512 * MIB, clusterSize * 4);
  const far = size - 70 * KIB;

  t.test(`made and written by QEMU: ${name}`, skip, async (t) => {
    run(
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qed',
      '-o',
      `cluster_size=${clusterSize},table_size=${tableSize}`,
      path,
      String(size),
    );
    qemuIo('qed', path, 'write -P 17 5k 11k', `write -P 18 ${far} 70k`, 'write -z 128M 1M');
    const disk = await openFile(path, true);
    t.equal(disk.size, size);
    t.same(disk.layers[0]?.options, { cluster_size: clusterSize, table_size: tableSize });
    t.ok(sameBytes(await readAt(disk, 5 * KIB, 11 * KIB), new Uint8Array(11 * KIB).fill(17)));
    t.ok((await readAt(disk, 16 * KIB, 100 * KIB)).every((byte) => byte === 0));
    t.ok((await readAt(disk, 0, 5 * KIB)).every((byte) => byte === 0));
    t.ok(sameBytes(await readAt(disk, far, 70 * KIB), new Uint8Array(70 * KIB).fill(18)));
    t.ok((await readAt(disk, 128 * MIB, MIB)).every((byte) => byte === 0));
    await disk.write(new Uint8Array(20 * KIB).fill(19), 10 * KIB);
    await disk.write(new Uint8Array(20 * KIB).fill(20), 128 * MIB + 3 * KIB);
    await disk.close();
    t.match(run('qemu-img', 'check', '-f', 'qed', path), /No errors/);
    qemuIo(
      'qed',
      path,
      'read -P 17 5k 5k',
      'read -P 19 10k 20k',
      'read -P 0 30k 50k',
      'read -P 0 128M 3k',
      `read -P 20 ${128 * MIB + 3 * KIB} 20k`,
      `read -P 18 ${far} 70k`,
    );
  });

  t.test(`made and written here: ${name}`, skip, async (t) => {
    await createFile(path, size, clusterSize, tableSize);
    t.match(run('qemu-img', 'check', '-f', 'qed', path), /No errors/);
    const disk = await openFile(path, true);
    await Promise.all(
      [1, 2, 3, 4, 5, 6].map((i) => disk.write(new Uint8Array(9 * KIB).fill(i), i * 2050 * KIB)),
    );
    await disk.flush();
    await disk.write(new Uint8Array(70 * KIB).fill(9), far);
    await disk.writeZeroes(2052 * KIB, 3 * KIB);
    await disk.close();
    t.match(run('qemu-img', 'check', '-f', 'qed', path), /No errors/);
    qemuIo(
      'qed',
      path,
      ...[2, 3, 4, 5, 6].map((i) => `read -P ${i} ${i * 2050}k 9k`),
      'read -P 1 2050k 2k',
      'read -P 0 2052k 3k',
      'read -P 1 2055k 4k',
      'read -P 0 0 2050k',
      `read -P 9 ${far} 70k`,
    );
    rmSync(path);
  });
}

t.test('the largest geometry', async (t) => {
  const path = at('huge.qed');
  const size = 2 ** 52;
  await createFile(path, size, 64 * MIB, 16);
  const before = process.memoryUsage().arrayBuffers;
  const disk = await openFile(path, true);
  const bytes = pattern(3, 100 * KIB);
  await disk.write(bytes, size - MIB);
  t.ok(sameBytes(await readAt(disk, size - MIB, 100 * KIB), bytes));
  t.ok(process.memoryUsage().arrayBuffers - before < 16 * MIB);
  await disk.close();
  const again = await openFile(path, false);
  t.ok(sameBytes(await readAt(again, size - MIB, 100 * KIB), bytes));
  await again.close();
  rmSync(path);
});

t.test('an image that QEMU left in use', skip, async (t) => {
  const path = at('dirty.qed');
  run('qemu-img', 'create', '-q', '-f', 'qed', path, '64M');
  // `abort` ends qemu-io as a crash would.
  try {
    run('qemu-io', '-f', 'qed', '-c', 'write -P 5 1M 1M', '-c', 'flush', '-c', 'abort', path);
    t.fail('qemu-io survived');
  } catch {
    const readOnly = await openFile(path, false);
    t.equal(readOnly.layers[0]?.options.need_check, true);
    await readOnly.close();
    const disk = await openFile(path, true);
    t.ok(sameBytes(await readAt(disk, MIB, MIB), new Uint8Array(MIB).fill(5)));
    await disk.close();
    t.match(run('qemu-img', 'check', '-f', 'qed', path), /No errors/);
  }
});

t.test('resized here, backing named here', skip, async (t) => {
  const path = at('resized.qed');
  const storage = await files.create(path, { overwrite: true });
  await driver.create(storage, {
    size: MIB,
    backing: { location: 'base.img', format: 'raw' },
    options: {},
  });
  const image = await driver.open(storage, { writable: true });
  await image.resize(3 * MIB);
  await image.close();
  await storage.close();
  const info = run('qemu-img', 'info', '-f', 'qed', path);
  t.match(info, /virtual size: 3 MiB/);
  t.match(info, /backing file: base\.img/);
  t.match(info, /backing file format: raw/);
});
