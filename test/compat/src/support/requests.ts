import fc from 'fast-check';
import { KIB } from './bytes.js';

/** Most requests under way at once. */
export const MAX_IN_FLIGHT = 16;

/** One request. `zero` may give space back, `zero-keep` may not. */
export interface Request {
  readonly kind: 'read' | 'write' | 'zero' | 'zero-keep' | 'discard' | 'flush';
  readonly offset: number;
  readonly length: number;
  readonly seed: number;
}

/** Requests that are made at once, and what comes after them. */
export interface Batch {
  readonly requests: readonly Request[];
  /** `reopen` waits for the requests, `close` closes over those under way; both open again. */
  readonly then: 'go on' | 'flush' | 'reopen' | 'close';
}

/** A disk's life. */
export interface Life {
  readonly madeBy: 'qemu' | 'here';
  /** Most bytes of cached metadata; the smallest make slices come and go. */
  readonly cacheSize: number | undefined;
  readonly batches: readonly Batch[];
}

interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Longest single request; keeps runs short where clusters are large. */
const MAX_LENGTH = 5 * 1024 * KIB;
/** Bytes of one piece of a batch of neighbours. */
const MAX_PIECE = 96 * KIB;

const KINDS = fc.oneof(
  { weight: 4, arbitrary: fc.constant('write' as const) },
  { weight: 3, arbitrary: fc.constant('read' as const) },
  { weight: 2, arbitrary: fc.constant('zero' as const) },
  { weight: 1, arbitrary: fc.constant('zero-keep' as const) },
  { weight: 2, arbitrary: fc.constant('discard' as const) },
  { weight: 1, arbitrary: fc.constant('flush' as const) },
);

const SEED = fc.nat(1_000_000);

/** Lives of disks of one size and cluster size. */
export function lives(size: number, clusterSize: number): fc.Arbitrary<Life> {
  const unit = Math.max(clusterSize, 512);
  const requests = fc.oneof(
    { weight: 2, arbitrary: scattered(size, unit) },
    { weight: 2, arbitrary: neighbours(size, unit) },
  );
  const batch = fc.record({
    requests,
    // biome-ignore lint/suspicious/noThenProperty: a batch is never awaited
    then: fc.oneof(
      { weight: 10, arbitrary: fc.constant('go on' as const) },
      { weight: 3, arbitrary: fc.constant('flush' as const) },
      { weight: 2, arbitrary: fc.constant('reopen' as const) },
      { weight: 1, arbitrary: fc.constant('close' as const) },
    ),
  });
  return fc.record({
    madeBy: fc.constantFrom('qemu', 'here'),
    cacheSize: fc.constantFrom(undefined, 1, 64 * KIB),
    batches: fc.array(batch, { minLength: 3, maxLength: 8, size: 'max' }),
  });
}

/** Requests anywhere; they may overlap. */
function scattered(size: number, unit: number): fc.Arbitrary<readonly Request[]> {
  const request = fc
    .tuple(KINDS, range(size, unit), SEED)
    .map(([kind, { offset, length }, seed]) => ({ kind, offset, length, seed }));
  return fc.oneof(
    fc.array(request, { minLength: 1, maxLength: 3, size: 'max' }),
    fc.array(request, { minLength: 1, maxLength: MAX_IN_FLIGHT, size: 'max' }),
  );
}

/** Requests side by side: they share clusters but not bytes, so every result is defined. */
function neighbours(size: number, unit: number): fc.Arbitrary<readonly Request[]> {
  const piece = fc.tuple(KINDS, fc.integer({ min: 1, max: Math.min(unit * 2, MAX_PIECE) }), SEED);
  return fc
    .tuple(
      fc.nat(size - 1),
      fc.array(piece, { minLength: 2, maxLength: MAX_IN_FLIGHT, size: 'max' }),
    )
    .map(([start, pieces]) => {
      let offset = start;
      return pieces.flatMap(([kind, wanted, seed]) => {
        const length = Math.min(wanted, size - offset);
        const request = { kind, offset, length, seed };
        offset += length;
        return length === 0 ? [] : [request];
      });
    });
}

function range(size: number, unit: number): fc.Arbitrary<Range> {
  const clusters = Math.ceil(size / unit);
  return fc
    .oneof(
      // Anywhere.
      fc.record({ offset: fc.nat(size - 1), length: fc.integer({ min: 0, max: 8000 }) }),
      // Whole clusters.
      fc
        .tuple(fc.nat(clusters - 1), fc.integer({ min: 1, max: unit > 64 * KIB ? 2 : 8 }))
        .map(([first, count]) => ({ offset: first * unit, length: count * unit })),
      // Across the edge of a cluster.
      fc
        .tuple(
          fc.nat(clusters),
          fc.integer({ min: -700, max: 700 }),
          fc.integer({ min: 1, max: unit + 700 }),
        )
        .map(([edge, by, length]) => ({ offset: Math.max(0, edge * unit + by), length })),
      // Up to the end.
      fc
        .integer({ min: 1, max: Math.min(size, unit * 2) })
        .map((length) => ({ offset: size - length, length })),
    )
    .map(({ offset, length }) => {
      const start = Math.min(offset, size - 1);
      return { offset: start, length: Math.min(length, size - start, MAX_LENGTH) };
    });
}
