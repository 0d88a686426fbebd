import { writeFileSync } from 'node:fs';
import { type TraceEntry, TracingStorage } from '@lamella/driver-testkit';
import { MemoryStorage } from 'lamella';
import t from 'tap';
import { KIB, MIB, pattern } from './support/bytes.js';
import { extendedL2, type ImageSpec, qcow2, qed } from './support/image-spec.js';
import { emptyImage, KeptOpen, openOver } from './support/memory-disk.js';
import { faults, needsQemu, qemuCheck, qemuRead } from './support/qemu.js';
import { Temp } from './support/temp.js';
import { assertSame } from './support/verify.js';

const CLUSTER = 64 * KIB;
const SIZE = 8 * MIB;
const WRITES = 64;
/** Turns of the event loop that a write takes: long enough for all others to begin meanwhile. */
const LONG = 200;

const SPECS: readonly ImageSpec[] = [
  qcow2(2, CLUSTER),
  qcow2(3, CLUSTER),
  extendedL2(CLUSTER),
  qed(CLUSTER, 4),
];

/** A traced disk in memory, and the storage to look at afterwards. */
async function tracedDisk(spec: ImageSpec, turns: number) {
  const storage = new KeptOpen(MemoryStorage.from(await emptyImage(spec, SIZE)));
  const traced = new TracingStorage(storage, {
    delay: ({ method }) => (method === 'write' ? turns : 2),
  });
  return { storage, traced, disk: await openOver(traced, spec) };
}

/** Writes of guest data: they are as long as the pieces written, which no metadata is. */
function dataWrites(trace: readonly TraceEntry[], least: number): readonly TraceEntry[] {
  return trace.filter(({ method, length }) => method === 'write' && length >= least);
}

function mostAtOnce(trace: readonly TraceEntry[]): number {
  let active = 0;
  let most = 0;
  for (const { phase } of trace) {
    active += phase === 'begin' ? 1 : -1;
    most = Math.max(most, active);
  }
  return most;
}

/** Makes a disk, writes to it all at once, and returns what became of the image. */
async function after(spec: ImageSpec, temp: Temp, writes: readonly (readonly [number, number])[]) {
  const { storage, traced, disk } = await tracedDisk(spec, 7);
  await Promise.all(
    writes.map(([offset, length], i) => disk.write(pattern(i, offset, length), offset)),
  );
  await disk.close();
  const path = temp.fresh(spec.format);
  writeFileSync(path, await storage.bytes());
  return { path, size: storage.size, report: await qemuCheck(path, spec.format), traced };
}

for (const spec of SPECS) {
  t.test(
    `${spec.name}: writes into one unallocated cluster allocate once`,
    needsQemu,
    async (t) => {
      const temp = new Temp(t);
      const base = 3 * CLUSTER;
      const single = await after(spec, temp, [[base, CLUSTER]]);
      const cases: readonly (readonly (readonly [number, number])[])[] = [
        [
          [base, 4096],
          [base + 4096, 4096],
        ],
        Array.from({ length: 16 }, (_, i) => [base + i * 4096, 4096] as const),
      ];
      for (const writes of cases) {
        const several = await after(spec, temp, writes);
        t.equal(several.size, single.size, `${writes.length} writes: the file grows as by one`);
        t.equal(several.report.allocatedClusters, 1, 'one data cluster');
        t.equal(faults(several.report), undefined, 'no error, no leak');
        const hosts = dataWrites(several.traced.trace, 4096)
          .filter(({ phase, offset }) => phase === 'begin' && offset + 4096 <= several.size)
          .map(({ offset, length }) => [Math.floor(offset / CLUSTER), length]);
        t.ok(hosts.length >= 1, 'data was written');
        const wanted = new Uint8Array(SIZE);
        for (const [i, [offset, length]] of writes.entries()) {
          wanted.set(pattern(i, offset, length), offset);
        }
        assertSame(t, await qemuRead(several.path, spec.format), wanted, 'every write is there');
      }
    },
  );

  const kinds = [
    { name: 'first writes over an L2 table not made yet', before: 0, length: CLUSTER },
    { name: 'allocating writes over a cached L2 table', before: 1, length: CLUSTER },
    { name: 'allocating writes of parts of clusters', before: 1, length: CLUSTER / 2 },
    { name: 'writes in place', before: WRITES + 1, length: CLUSTER },
  ];
  for (const { name, before, length } of kinds) {
    t.test(`${spec.name}: 64 ${name} are under way together`, needsQemu, async (t) => {
      const { storage, traced, disk } = await tracedDisk(spec, LONG);
      if (before > 0) {
        await disk.write(pattern(99, 0, before * CLUSTER), 0);
      }
      const start = traced.trace.length;
      await Promise.all(
        Array.from({ length: WRITES }, (_, i) => {
          const offset = (i + 1) * CLUSTER;
          return disk.write(pattern(i, offset, length), offset);
        }),
      );
      const writes = dataWrites(traced.trace.slice(start), length);
      t.equal(writes.filter(({ phase }) => phase === 'begin').length, WRITES, 'one I/O each');
      t.equal(mostAtOnce(writes), WRITES, 'all of them at once');
      await disk.close();
      const path = new Temp(t).fresh(spec.format);
      writeFileSync(path, await storage.bytes());
      t.equal(faults(await qemuCheck(path, spec.format)), undefined, 'no error, no leak');
      const wanted = new Uint8Array(SIZE);
      wanted.set(pattern(99, 0, before * CLUSTER));
      for (let i = 0; i < WRITES; i += 1) {
        wanted.set(pattern(i, (i + 1) * CLUSTER, length), (i + 1) * CLUSTER);
      }
      assertSame(t, await qemuRead(path, spec.format), wanted, 'every write is there');
    });
  }
}
