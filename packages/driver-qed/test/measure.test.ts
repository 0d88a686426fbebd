import { MemoryStorage } from '@lamella/core';
import t from 'tap';
import { create, creation, driver, MIB, openDisk } from './helpers.js';

t.test('measured is what an image then takes', async (t) => {
  for (const options of [
    { cluster_size: 4096, table_size: 1 },
    { cluster_size: 65536, table_size: 4 },
    { cluster_size: 1 << 20, table_size: 2 },
  ]) {
    const size = 20 * MIB + 512;
    const runs = [
      { offset: 100, length: 10_000 },
      { offset: 12_000, length: 1 },
      { offset: 5 * MIB, length: 3 * MIB },
      { offset: size - 1, length: 1 },
    ];
    const request = creation(size, options);
    const measured = await driver.measure({
      ...request,
      data: (async function* () {
        yield* runs;
      })(),
    });
    const storage = new MemoryStorage();
    await create(storage, size, options);
    let disk = await openDisk(storage);
    for (const { offset, length } of runs) {
      await disk.write(new Uint8Array(length).fill(1), offset);
    }
    await disk.close();
    t.equal(storage.size, measured.required, JSON.stringify(options));
    disk = await openDisk(storage);
    await disk.write(new Uint8Array(size).fill(1), 0);
    await disk.close();
    t.equal(storage.size, measured.fullyAllocated);
    const unknown = await driver.measure(request);
    t.same(unknown, { required: storage.size, fullyAllocated: storage.size });
  }
});

t.test('what cannot be made cannot be measured', async (t) => {
  await t.rejects(driver.measure(creation(2 ** 40)), { code: 'LIMIT_EXCEEDED' });
});
