import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { paths, run } from '@lamella/test-support';
import { Lamella } from 'lamella';
import t from 'tap';
import { needsQemu } from './support/qemu.js';

const TIB = 1024 ** 4;
const ISLANDS = 400;
const KIB = 1024;
/** Bytes from one island to the next. */
const STRIDE = Math.floor(TIB / ISLANDS / (4 * KIB)) * 4 * KIB;

interface Row {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset: number;
}

/** A generator of small whole numbers that is the same in every run. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % limit;
  };
}

t.test('a sparse file has the extents that qemu-img map shows', needsQemu, async (t) => {
  const at = paths(t);
  const seed = Date.now() % 100_000;
  t.comment(`seed ${seed}`);
  const next = numbers(seed);
  const fd = openSync(at('sparse'), 'w');
  ftruncateSync(fd, TIB - 512 * next(100));
  const bytes = Buffer.alloc(64 * KIB, 1);
  for (let i = 0; i < ISLANDS; i += 1) {
    // Some islands touch the one before or their own second part; the first lies on the file's start.
    const offset = i * STRIDE + (i % 3 === 0 ? 0 : 4 * KIB * next(10_000));
    writeSync(fd, bytes, 0, 4 * KIB * (1 + next(16)), offset);
    if (i % 7 === 0) {
      writeSync(fd, bytes, 0, 4 * KIB, offset + 4 * KIB * next(40));
    }
  }
  closeSync(fd);
  const theirs: Row[] = JSON.parse(
    run('qemu-img', 'map', '--output=json', '-f', 'raw', at('sparse')),
  );
  const rows: Row[] = [];
  await using disk = await new Lamella().open(at('sparse'), { format: 'raw' });
  for await (const { offset, length, kind, hostOffset } of disk.extents()) {
    const zero = kind === 'zero';
    rows.push({ start: offset, length, zero, data: !zero, offset: hostOffset ?? -1 });
  }
  t.ok(theirs.length > ISLANDS, 'QEMU sees the islands');
  if (process.env.LAMELLA_NATIVE === 'off') {
    t.strictSame(
      rows.map(({ length }) => length),
      [disk.size],
      'without the helper all is data',
    );
    return;
  }
  t.equal(rows.length, theirs.length);
  t.strictSame(
    rows,
    theirs.map(({ start, length, zero, data, offset }) => ({
      start,
      length,
      zero,
      data,
      offset,
    })),
  );
});
