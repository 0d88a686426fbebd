import { type Alarm, CLOCK, type Clock, LamellaError } from '@lamella/core';
import { paths } from '@lamella/test-support';
import t from 'tap';
import { bytesOf, withFilters } from './helpers.js';

const KIB = 1024;

t.test('read-only: shows the disk and refuses writes', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  await lamella.create(at('a.qcow2'), { format: 'qcow2', size: 64 * KIB });
  await using disk = await lamella.open(at('a.qcow2'), { writable: true });
  await disk.write(Buffer.alloc(512, 7), 1024);
  await t.rejects(lamella.filter(disk, { format: 'read-only' }), { code: 'READ_ONLY' });
  await using filtered = await lamella.filter(disk, { format: 'read-only', writable: false });
  t.equal((await bytesOf(filtered, 1024, 1))[0], 7);
  await t.rejects(filtered.write(Buffer.alloc(1), 0), { code: 'READ_ONLY' });
  await filtered.close();
  t.equal((await bytesOf(disk, 1024, 1))[0], 7, 'the disk stays open');
});

t.test('statistics: counts what comes through, failures too', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  await lamella.create(at('a.qcow2'), { format: 'qcow2', size: 256 * KIB });
  await using disk = await lamella.open(at('a.qcow2'), { writable: true });
  const filtered = await lamella.filter(disk, { format: 'statistics' });
  await filtered.write(Buffer.alloc(4 * KIB, 1), 0);
  await bytesOf(filtered, 0, KIB);
  await bytesOf(filtered, KIB, KIB);
  await filtered.writeZeroes(64 * KIB, 64 * KIB);
  await filtered.discard(0, 64 * KIB);
  await filtered.flush();
  t.match(filtered.layers[0]?.options, {
    reads: 2,
    read_bytes: 2 * KIB,
    writes: 1,
    written_bytes: 4 * KIB,
    zeroes: 1,
    zeroed_bytes: 64 * KIB,
    discards: 1,
    discarded_bytes: 64 * KIB,
    flushes: 1,
    failures: 0,
  });
  await disk.close();
  await t.rejects(bytesOf(filtered, 0, 1), { code: 'CLOSED' });
  t.equal(filtered.layers[0]?.options.failures, 1);
  await t.rejects(filtered.close(), { code: 'CLOSED' }, 'what could not be flushed is told');
});

/** Time that passes when everybody waits. */
class PatientClock implements Clock {
  #now = 1000;

  now(): number {
    return this.#now;
  }

  schedule(milliseconds: number, action: () => void): Alarm {
    const at = this.#now + milliseconds;
    const alarm = setImmediate(() => {
      this.#now = Math.max(this.#now, at);
      action();
    });
    return { cancel: () => clearImmediate(alarm) };
  }
}

t.test('throttle: bytes and requests a second', async (t) => {
  const at = paths(t);
  for (const [options, request, count, milliseconds] of [
    [{ 'bps-total': '1M' }, 64 * KIB, 160, 10_000],
    [{ 'iops-read': 100 }, 512, 500, 5000],
    [{ 'bps-write': '1k' }, 64 * KIB, 100, 0],
    [{}, KIB, 100, 0],
  ] as const) {
    const lamella = withFilters();
    const clock = new PatientClock();
    lamella.container.register(CLOCK, { useValue: clock });
    await lamella.create(at('a.raw'), { format: 'raw', size: 64 * KIB, overwrite: true });
    await using disk = await lamella.open(at('a.raw'), { format: 'raw', writable: true });
    await using filtered = await lamella.filter(disk, { format: 'throttle', options });
    const begin = clock.now();
    for (let i = 0; i < count; i += 1) {
      await bytesOf(filtered, 0, request);
    }
    const took = clock.now() - begin;
    t.ok(
      took <= milliseconds && took >= milliseconds - 200,
      `${JSON.stringify(options)}: ${took} ms of about ${milliseconds}`,
    );
  }
});

t.test('throttle: contradictory limits', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  await lamella.create(at('a.raw'), { format: 'raw', size: 1024 });
  await using disk = await lamella.open(at('a.raw'), { format: 'raw' });
  const options = { 'bps-total': 1, 'bps-read': 1 };
  await t.rejects(lamella.filter(disk, { format: 'throttle', options }), {
    code: 'INVALID_ARGUMENT',
  });
  await t.rejects(lamella.filter(disk, { format: 'throttle', options: { speed: 1 } }), {
    code: 'INVALID_ARGUMENT',
  });
});

t.test('copy-on-read: what is read moves up, once', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  const size = 1024 * KIB;
  await lamella.create(at('base.raw'), { format: 'raw', size });
  const base = await lamella.open(at('base.raw'), { format: 'raw', writable: true });
  await base.write(Buffer.alloc(size, 5), 0);
  await base.close();
  await lamella.create(at('top.qcow2'), {
    format: 'qcow2',
    backing: { location: 'base.raw', format: 'raw' },
  });
  await using disk = await lamella.open(at('top.qcow2'), { writable: true });
  await disk.writeZeroes(128 * KIB, 64 * KIB);
  {
    await using filtered = await lamella.filter(disk, { format: 'copy-on-read' });
    t.same(await bytesOf(filtered, 60 * KIB, 8 * KIB), Buffer.alloc(8 * KIB, 5));
    t.same(await bytesOf(filtered, 128 * KIB, 64 * KIB), Buffer.alloc(64 * KIB));
  }
  const held: [number, number, string][] = [];
  for await (const { offset, length, layer, kind } of disk.extents()) {
    if (layer === 0) {
      held.push([offset, length, kind]);
    }
  }
  t.same(held, [
    [0, 128 * KIB, 'data'],
    [128 * KIB, 64 * KIB, 'zero'],
  ]);
  await using raw = await lamella.open(at('base.raw'), { format: 'raw' });
  await t.rejects(lamella.filter(raw, { format: 'copy-on-read' }), { code: 'READ_ONLY' });
  await t.rejects(lamella.open(at('base.raw'), { format: 'copy-on-read' }), {
    code: 'UNSUPPORTED',
  });
});

t.test('an image within an image', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  await lamella.create(at('inner.qcow2'), { format: 'qcow2', size: 256 * KIB });
  await using file = await lamella.open(at('inner.qcow2'), { format: 'raw' });
  await lamella.create(at('outer.qed'), { format: 'qed', size: file.size });
  await using outer = await lamella.open(at('outer.qed'), { writable: true });
  await outer.write(await bytesOf(file), 0);
  const data = Buffer.alloc(100 * KIB, 9);
  {
    await using inner = await lamella.filter(outer, { format: 'qcow2' });
    t.equal(inner.size, 256 * KIB);
    await inner.write(data, 70 * KIB);
  }
  t.ok(outer.size > file.size, 'it grew as a file would');
  await using again = await lamella.filter(outer, { format: 'qcow2', writable: false });
  t.same(await bytesOf(again, 70 * KIB, data.length), data);
});

t.test('an image on a disk may not name other files', async (t) => {
  const at = paths(t);
  const lamella = withFilters();
  await lamella.create(at('base.raw'), { format: 'raw', size: 64 * KIB });
  await lamella.create(at('top.qcow2'), {
    format: 'qcow2',
    backing: { location: 'base.raw', format: 'raw' },
  });
  await using file = await lamella.open(at('top.qcow2'), { format: 'raw' });
  const failure = await lamella.filter(file, { format: 'qcow2' }).catch((error: unknown) => error);
  t.ok(failure instanceof LamellaError);
  t.match(failure, { code: 'UNSUPPORTED', message: /base\.raw/ });
});
