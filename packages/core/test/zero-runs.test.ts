import t from 'tap';
import { dataRuns, firstDifference, isZero } from '#internal/operations/zero-runs.js';

const KIB = 1024;

/** A buffer that is 1 in the given ranges. */
function bytesWith(length: number, ...ones: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = new Uint8Array(length);
  for (const [start, end] of ones) {
    bytes.fill(1, start, end);
  }
  return bytes;
}

t.test('runs of zeroes that are long enough are left out, others belong to the data', async (t) => {
  const bytes = bytesWith(64 * KIB, [8 * KIB, 9 * KIB], [12 * KIB, 13 * KIB], [40 * KIB, 41 * KIB]);
  t.same(dataRuns(bytes, 4 * KIB, 512), [
    { start: 8 * KIB, end: 13 * KIB },
    { start: 40 * KIB, end: 41 * KIB },
  ]);
  t.same(dataRuns(bytes, 2 * KIB, 512), [
    { start: 8 * KIB, end: 9 * KIB },
    { start: 12 * KIB, end: 13 * KIB },
    { start: 40 * KIB, end: 41 * KIB },
  ]);
});

t.test('data is widened to the granule, and nothing is left out for 0', async (t) => {
  const bytes = bytesWith(64 * KIB, [9 * KIB, 9 * KIB + 1]);
  t.same(dataRuns(bytes, 4 * KIB, 4 * KIB), [{ start: 8 * KIB, end: 12 * KIB }]);
  t.same(dataRuns(bytes, 0, 4 * KIB), [{ start: 0, end: 64 * KIB }]);
  t.same(dataRuns(new Uint8Array(64 * KIB), 4 * KIB, 4 * KIB), []);
});

t.test('one byte anywhere is seen, at odd lengths too', async (t) => {
  for (const length of [1, 3, 31, 33, 512, 1000, 4099]) {
    t.ok(isZero(new Uint8Array(length)), `${length} zeroes`);
    for (const position of [0, length >> 1, length - 1]) {
      t.notOk(isZero(bytesWith(length, [position, position + 1])), `${position} of ${length}`);
    }
  }
});

t.test('the first difference is told by its sector', async (t) => {
  const left = new Uint8Array(2051);
  t.equal(firstDifference(left, new Uint8Array(2051), 512), undefined);
  t.equal(firstDifference(left, bytesWith(2051, [700, 701]), 512), 512);
  t.equal(firstDifference(left, bytesWith(2051, [2050, 2051]), 512), 2048);
});

t.test('memory that begins anywhere is looked at just as well', async (t) => {
  const zeroes = new Uint8Array(103).subarray(3);
  t.ok(isZero(zeroes));
  t.same(dataRuns(zeroes, 4, 4), []);
  for (const position of [3, 4, 50, 102]) {
    const bytes = bytesWith(103, [position, position + 1]).subarray(3);
    t.notOk(isZero(bytes), `${position}`);
    const start = position - 3 - ((position - 3) % 4);
    t.equal(firstDifference(bytes, new Uint8Array(100), 4), start);
    t.equal(firstDifference(zeroes, bytes, 4), start);
    t.same(dataRuns(bytes, 4, 4), [{ start, end: start + 4 }]);
  }
});
