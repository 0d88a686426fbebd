import type { Disk } from '@lamella/core';
import { firstDifference, pattern } from '../model/bytes.js';
import type { RuleId } from '../rules.js';
import type { NamedSample, Subject } from '../subject/subject.js';
import { type Check, CheckGroup, must, mustEqual, needing, under } from './check.js';
import { mustBeSound, mustLast, readAll, reopened, startFrom } from './disks.js';

/** A range of the disk in terms of its clusters. */
interface Span {
  readonly name: string;
  /** @returns bytes, given the cluster size and the size of the disk; cut at its end */
  readonly offset: (unit: number, size: number) => number;
}

const PLACES: readonly Span[] = [
  { name: 'at 0', offset: () => 0 },
  { name: 'at 1', offset: () => 1 },
  { name: 'in the middle of a cluster', offset: (unit) => unit * 3 + unit / 2 },
  { name: 'at the last byte of a cluster', offset: (unit) => unit * 5 - 1 },
  { name: 'at a cluster', offset: (unit) => unit * 4 },
  { name: 'in the last whole cluster', offset: (unit, size) => size - (size % unit) - unit },
  { name: 'in the last sector', offset: (_, size) => size - 512 },
];

const LENGTHS: readonly Span[] = [
  { name: 'one byte', offset: () => 1 },
  { name: 'a byte less than a sector', offset: () => 511 },
  { name: 'a sector', offset: () => 512 },
  { name: 'half a cluster', offset: (unit) => unit / 2 },
  { name: 'a byte less than a cluster', offset: (unit) => unit - 1 },
  { name: 'a cluster', offset: (unit) => unit },
  { name: 'a cluster and a byte', offset: (unit) => unit + 1 },
  { name: 'three and a half clusters', offset: (unit) => unit * 3.5 },
  { name: 'the rest of the disk', offset: (_, size) => size },
];

type Kind = 'write' | 'zero' | 'discard';

const TOO_FEW_CLUSTERS =
  'its disk has too few clusters: `create.size` of the manifest makes it larger';

const RULE_OF: Readonly<Record<Kind, RuleId>> = {
  write: 'write-1',
  zero: 'zero-1',
  discard: 'discard-1',
};

/** Single changes of all shapes, on images of all kinds. */
export function changeChecks(subject: Subject): readonly Check[] {
  const checks: Check[] = [];
  for (const kind of ['write', 'zero', 'discard'] as const) {
    const group = new CheckGroup(kind);
    for (const start of subject.usually(subject.starts)) {
      for (const place of PLACES) {
        for (const length of LENGTHS) {
          addChange(group, subject, kind, start, place, length);
        }
      }
      addKept(group, subject, kind, start);
    }
    checks.push(...group.checks);
  }
  return checks;
}

function addChange(
  group: CheckGroup,
  subject: Subject,
  kind: Kind,
  start: NamedSample,
  place: Span,
  span: Span,
): void {
  const body = async (): Promise<void> => {
    const sample = await start.get();
    const unit = await subject.unit();
    const size = sample.content.length;
    const offset = Math.max(0, Math.min(size - 1, Math.floor(place.offset(unit, size))));
    const length = Math.min(size - offset, Math.floor(span.offset(unit, size)));
    const { disk, storage } = await startFrom(subject, sample);
    const expected = sample.content.slice();
    const bytes = pattern(9, offset, length);
    await change(disk, kind, offset, bytes);
    if (kind === 'write') {
      expected.set(bytes, offset);
    } else if (kind === 'zero') {
      expected.fill(0, offset, offset + length);
    }
    const found = await readAll(disk);
    if (kind === 'discard') {
      // Bytes that were dropped may read as zero; from here on, as they do now.
      for (let at = offset; at < offset + length; at += 1) {
        expected[at] = found[at] === 0 ? 0 : (expected[at] ?? 0);
      }
      mustEqual(found, expected, 'after the discard');
      await mustStayDiscarded(subject, disk, storage, expected, offset, length, sample.backing);
    } else {
      mustEqual(found, expected, `after the ${kind}`);
      await mustLast(subject, disk, storage, expected, sample.backing);
    }
  };
  group.add(
    RULE_OF[kind],
    `${span.name} ${place.name}: ${start.name}`,
    needing(subject, kind === 'discard' ? 'discard' : 'write', body),
  );
}

/** A byte that was dropped but still reads as before may read as zero later, and as nothing else. */
async function mustStayDiscarded(
  subject: Subject,
  disk: Disk,
  storage: Parameters<typeof mustLast>[2],
  expected: Uint8Array,
  offset: number,
  length: number,
  backing: Uint8Array | undefined,
): Promise<void> {
  await disk.close();
  await under('discard-2', async () => {
    const again = await reopened(subject, storage, backing);
    for (let at = offset; at < offset + length; at += 1) {
      expected[at] = again[at] === 0 ? 0 : (expected[at] ?? 0);
    }
    mustEqual(again, expected, 'after reopening');
  });
  await mustBeSound(subject, storage);
}

/** Zeroing without giving space back; the same change over and over. */
function addKept(group: CheckGroup, subject: Subject, kind: Kind, start: NamedSample): void {
  if (kind === 'zero') {
    group.add(
      'zero-3',
      `keeping the space: ${start.name}`,
      needing(subject, 'write', async () => {
        const sample = await start.get();
        const unit = await subject.unit();
        const { disk, storage } = await startFrom(subject, sample);
        const expected = sample.content.slice();
        const length = Math.min(unit * 4, expected.length - unit);
        await disk.writeZeroes(unit, length, { unmap: false });
        expected.fill(0, unit, unit + length);
        mustEqual(await readAll(disk), expected, 'after zeroing');
        await mustLast(subject, disk, storage, expected, sample.backing);
      }),
    );
  }
  group.add(
    RULE_OF[kind],
    `many times over: ${start.name}`,
    needing(subject, kind === 'discard' ? 'discard' : 'write', async () => {
      const sample = await start.get();
      const unit = await subject.unit();
      if (sample.content.length < unit * 5) {
        return TOO_FEW_CLUSTERS;
      }
      const { disk, storage } = await startFrom(subject, sample);
      const expected = sample.content.slice();
      for (let round = 0; round < 12; round += 1) {
        const bytes = pattern(round, unit * 2, unit * 3);
        await disk.write(bytes, unit * 2);
        await change(disk, kind, unit * 3, pattern(round + 50, unit * 3, unit));
        if (round % 3 === 0) {
          await disk.flush();
        }
        expected.set(bytes, unit * 2);
      }
      const found = await readAll(disk);
      if (kind === 'write') {
        expected.set(pattern(61, unit * 3, unit), unit * 3);
      } else if (kind === 'zero') {
        expected.fill(0, unit * 3, unit * 4);
      } else {
        const dropped = found.subarray(unit * 3, unit * 4);
        must(
          dropped.every((byte) => byte === 0) ||
            firstDifference(dropped, expected.subarray(unit * 3, unit * 4)) === undefined,
          'a discarded cluster reads as what it never was',
        );
        expected.set(dropped, unit * 3);
      }
      mustEqual(found, expected, 'after many rounds');
      if (kind === 'discard') {
        await mustStayDiscarded(subject, disk, storage, expected, unit * 3, unit, sample.backing);
      } else {
        await mustLast(subject, disk, storage, expected, sample.backing);
      }
      return undefined;
    }),
  );
}

async function change(disk: Disk, kind: Kind, offset: number, bytes: Uint8Array): Promise<void> {
  if (kind === 'write') {
    await disk.write(bytes, offset);
  } else if (kind === 'zero') {
    await disk.writeZeroes(offset, bytes.length);
  } else {
    await disk.discard(offset, bytes.length);
  }
}
