import { Disk, MemoryStorage } from '@lamella/core';
import { RawDriver } from '@lamella/driver-raw';
import { TracingStorage } from '@lamella/driver-testkit';
import t from 'tap';

const driver = new RawDriver();

/** Recognises an invented format by 4 bytes at 510, beyond what a look at sector 0 would tell. */
function recognise(head: Uint8Array): string {
  return Buffer.from(head.subarray(510, 514)).toString('latin1') === 'ACME' ? 'acme' : 'raw';
}

async function guarded(size = 16384, fill = 0): Promise<{ storage: TracingStorage; disk: Disk }> {
  const storage = new TracingStorage(MemoryStorage.from(new Uint8Array(size).fill(fill)));
  const image = await driver.open(storage, { writable: true, recognise });
  return { storage, disk: new Disk([{ format: 'raw', storage, image, writable: true }]) };
}

const text = (value: string) => Buffer.from(value, 'latin1');

t.test('a foreign magic is refused, however it comes', async (t) => {
  const { storage, disk } = await guarded();
  const refused = { code: 'FORMAT_CHANGE', offset: 0 };
  await t.rejects(disk.write(text('ACME'), 510), refused, 'as it is');
  const long = Buffer.alloc(8192);
  text('ACME').copy(long, 510);
  await t.rejects(disk.write(long, 0), refused, 'in a long write');
  await disk.write(text('AC'), 510);
  await t.rejects(disk.write(text('ME'), 512), refused, 'in two halves');
  const halves = await Promise.allSettled([
    disk.write(text('XC'), 510),
    disk.write(text('M'), 512),
    disk.write(text('E'), 513),
    disk.write(text('A'), 510),
  ]);
  t.ok(
    halves.some(({ status }) => status === 'rejected'),
    'in pieces at one time',
  );
  const head = new Uint8Array(1024);
  await storage.read(head, 0);
  t.equal(recognise(head), 'raw');
  await disk.close();
});

t.test('zeroing may not uncover one either', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(8192).fill(7));
  const image = await driver.open(storage, {
    writable: true,
    recognise: (head) => (head[0] === 0 ? 'zeroish' : 'raw'),
  });
  const disk = new Disk([{ format: 'raw', storage, image, writable: true }]);
  await t.rejects(disk.writeZeroes(0, 512), { code: 'FORMAT_CHANGE' });
  await t.rejects(disk.discard(0, 4096), { code: 'FORMAT_CHANGE' });
  await disk.writeZeroes(1, 511);
  await disk.close();
});

t.test('everything else is written', async (t) => {
  const { storage, disk } = await guarded(700);
  await disk.write(text('ACME'), 0);
  await disk.write(text('ACME'), 514);
  await disk.write(Buffer.alloc(300, 1), 700);
  const bytes = Buffer.alloc(1024);
  await disk.read(bytes, 0);
  t.equal(bytes.toString('latin1', 0, 4), 'ACME');
  t.equal(bytes[999], 1);
  t.equal(storage.size, 1000);
  await disk.close();
});

t.test('behind the head nothing is read or asked', async (t) => {
  const { storage, disk } = await guarded();
  await disk.write(text('ACME'), 4096);
  await disk.writeZeroes(8192, 100);
  t.equal(storage.count('read'), 0);
  await disk.close();
});

t.test('with a format given, anything goes', async (t) => {
  const storage = MemoryStorage.from(new Uint8Array(4096));
  const image = await driver.open(storage, { writable: true });
  t.match(image.place(0, 512), { storage });
  await image.close();
});
