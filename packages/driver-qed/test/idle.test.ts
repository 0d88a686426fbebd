import { type Alarm, type Clock, Disk, MemoryStorage } from '@lamella/core';
import { QedDriver } from '@lamella/driver-qed';
import { FaultyStorage, LastingStorage } from '@lamella/driver-testkit';
import t from 'tap';
import { bytesOf, create, inspect, MIB, openDisk, pattern, readAll, sameBytes } from './helpers.js';

/** Time that passes when a test says so. */
class ManualClock implements Clock {
  #now = 0;
  #alarms: { readonly at: number; readonly action: () => void }[] = [];

  get waiting(): number {
    return this.#alarms.length;
  }

  now(): number {
    return this.#now;
  }

  schedule(milliseconds: number, action: () => void): Alarm {
    const alarm = { at: this.#now + milliseconds, action };
    this.#alarms.push(alarm);
    return {
      cancel: () => {
        this.#alarms = this.#alarms.filter((other) => other !== alarm);
      },
    };
  }

  /** Lets time pass, and everything that follows from it happen. */
  async pass(milliseconds: number): Promise<void> {
    this.#now += milliseconds;
    const due = this.#alarms.filter(({ at }) => at <= this.#now);
    this.#alarms = this.#alarms.filter(({ at }) => at > this.#now);
    for (const { action } of due) {
      action();
    }
    await settled();
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function subject(): Promise<{
  readonly clock: ManualClock;
  readonly storage: FaultyStorage;
  readonly disk: Disk;
}> {
  const clock = new ManualClock();
  const storage = new FaultyStorage(new MemoryStorage());
  await create(storage, 8 * MIB);
  const image = await new QedDriver(undefined, clock).open(storage, { writable: true });
  const kept = new LastingStorage(storage);
  const disk = new Disk([{ format: 'qed', storage: kept, image, writable: true }]);
  return { clock, storage, disk };
}

t.test('after 5 seconds without a change the image is clean', async (t) => {
  const { clock, storage, disk } = await subject();
  t.equal(clock.waiting, 0, 'nothing to wait for');
  await disk.write(pattern(1, 5000), 0);
  await clock.pass(4999);
  t.match(await inspect(storage), { needCheck: true });
  await clock.pass(1);
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
  t.equal(clock.waiting, 0);
  const copy = await openDisk(MemoryStorage.from(await bytesOf(storage)), false);
  t.ok(sameBytes((await readAll(copy)).subarray(0, 5000), pattern(1, 5000)), 'with all data');
  await disk.write(pattern(2, 5000), 4 * MIB);
  t.match(await inspect(storage), { needCheck: true }, 'marked again by the next change');
  await clock.pass(5000);
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
  await disk.write(pattern(3, 5000), 4 * MIB);
  t.match(await inspect(storage), { needCheck: false }, 'a write in place changes no mapping');
  await disk.close();
});

t.test('a change within the period starts it anew', async (t) => {
  const { clock, storage, disk } = await subject();
  await disk.write(pattern(1, 5000), 0);
  await clock.pass(4000);
  await disk.write(pattern(1, 5000), MIB);
  await clock.pass(1000);
  t.match(await inspect(storage), { needCheck: true });
  await clock.pass(5000);
  t.match(await inspect(storage), { needCheck: false });
  await disk.close();
  t.equal(clock.waiting, 0);
});

t.test('a write under way keeps the mark', async (t) => {
  const { clock, storage, disk } = await subject();
  await disk.write(pattern(1, 4096), 0);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const write = storage.write.bind(storage);
  storage.write = async (bytes, offset) => {
    if (bytes.length === 8192) {
      await held;
    }
    return write(bytes, offset);
  };
  const writing = disk.write(pattern(2, 8192), MIB);
  await settled();
  await clock.pass(5000);
  await clock.pass(5000);
  t.match(await inspect(storage), { needCheck: true });
  release();
  await writing;
  await clock.pass(5000);
  await clock.pass(5000);
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
  await disk.close();
});

t.test('writes while the mark is being cleared set it again', async (t) => {
  const { clock, storage, disk } = await subject();
  for (let round = 0; round < 20; round += 1) {
    await disk.write(pattern(round, 4096), round * 8192);
    const passing = clock.pass(5000);
    const writing = disk.write(pattern(round + 1, 4096), round * 8192 + 4096);
    await Promise.all([passing, writing]);
    const found = await inspect(storage);
    t.match(found, { needCheck: true, problems: [] });
  }
  await disk.close();
  t.match(await inspect(storage), { needCheck: false, problems: [], leaks: 0 });
});

t.test('a failure behind the back is told by the next flush, and the mark stays', async (t) => {
  const { clock, storage, disk } = await subject();
  await disk.write(pattern(1, 4096), 0);
  storage.fails = ({ method }) => method === 'flush';
  await clock.pass(5000);
  storage.fails = () => false;
  t.match(await inspect(storage), { needCheck: true });
  await t.rejects(disk.flush(), { code: 'IO_ERROR' });
  await disk.flush();
  await clock.pass(5000);
  t.match(await inspect(storage), { needCheck: true }, 'what a lost flush lost, nobody knows');
  await disk.close();
  t.match(await inspect(storage), { needCheck: true, problems: [] });
});

t.test('while clusters are free the mark stays: only it tells that there are some', async (t) => {
  const clock = new ManualClock();
  const storage = new MemoryStorage();
  await create(storage, 8 * MIB);
  const image = await new QedDriver(undefined, clock).open(storage, { writable: true });
  const first = await image.place(0, 4096);
  const second = await image.place(MIB, 4096);
  if (first.kind !== 'allocation' || second.kind !== 'allocation') {
    throw new Error('nothing is allocated yet');
  }
  await storage.write(pattern(1, 4096), second.offset);
  await second.commit();
  first.abort();
  await clock.pass(5000);
  await clock.pass(5000);
  t.match(await inspect(storage), { needCheck: true, leaks: 1, problems: [] });
  const left = MemoryStorage.from(await bytesOf(storage));
  await (await openDisk(left)).close();
  t.match(await inspect(left), { needCheck: false, leaks: 0, problems: [] }, 'killed there');
  await image.close();
  t.match(await inspect(storage), { needCheck: false, leaks: 0, problems: [] });
});
