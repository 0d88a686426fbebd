/**
 * The worst case of the 2010 debate over QED and qcow2: what an allocation costs in an image that is full.
 * Virtual sizes of 1 GiB, 64 GiB and 1 TiB, all metadata there, beside qemu-io doing the same.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Disk } from '@lamella/core';
import { Qcow2Driver } from '@lamella/driver-qcow2';
import { TracingStorage } from '@lamella/driver-testkit';
import { FileStorageDriver } from '@lamella/platform-node';
import { QemuIo } from './qemu-io.js';
import { median } from './stats.js';

const GIB = 1024 ** 3;
const SIZES = [
  { name: '1 GiB', bytes: GIB },
  { name: '64 GiB', bytes: 64 * GIB },
  { name: '1 TiB', bytes: 1024 * GIB },
] as const;
const CLUSTER = 64 * 1024;
/** Pairs of a discard and an allocating write in one measurement. */
const PAIRS = 256;
/** Pairs between flushes. */
const BATCHES = [1, 32] as const;

/** One request; `flush` has no offset. */
interface Step {
  readonly what: 'write' | 'discard' | 'flush';
  readonly offset: number;
}

/** What steps cost. */
interface Cost {
  readonly seconds: number;
  /** Reads, writes and discards of the image file. */
  readonly ios: number;
}

/** Does the steps in an image that it opens for that; opening and closing does not count. */
type Contender = (image: string, steps: readonly Step[]) => Promise<Cost>;

const library: Contender = async (path, steps) => {
  const storage = new TracingStorage(await new FileStorageDriver().open(path, { writable: true }));
  const image = await new Qcow2Driver([]).open(storage, { writable: true });
  await using disk = new Disk([{ format: 'qcow2', storage, image, writable: true }]);
  const cluster = Buffer.alloc(CLUSTER, 0x5a);
  storage.trace.length = 0;
  const start = process.hrtime.bigint();
  for (const { what, offset } of steps) {
    await (what === 'write'
      ? disk.write(cluster, offset)
      : what === 'discard'
        ? disk.discard(offset, CLUSTER)
        : disk.flush());
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const calls = storage.trace.filter(({ phase, method }) => phase === 'begin' && IOS.has(method));
  return { seconds, ios: calls.length };
};

const IOS: ReadonlySet<string> = new Set(['read', 'write', 'writeZeroes', 'discard']);

/** Counts I/Os by strace, where there is one, in a run of its own that is not timed. */
const qemuIo: Contender = async (path, steps) => {
  const commands = steps.map(({ what, offset }) =>
    what === 'write'
      ? `write -q -P 0x5a ${offset} ${CLUSTER}`
      : what === 'discard'
        ? `discard -q ${offset} ${CLUSTER}`
        : 'flush',
  );
  const seconds = await inQemuIo(path, commands);
  if (!HAS_STRACE) {
    return { seconds, ios: Number.NaN };
  }
  const log = `${path}.strace`;
  let before = 0;
  await inQemuIo(path, commands, [...STRACE, '-o', log], () => {
    before = calls(log);
  });
  return { seconds, ios: calls(log) - before };
};

const CONTENDERS = [
  { name: 'lamella', measure: library },
  { name: 'qemu-io', measure: qemuIo },
] as const;

const STRACE = ['strace', '-f', '-qq', '-e', 'trace=pread64,preadv,pwrite64,pwritev,fallocate'];
const HAS_STRACE = spawnSync('strace', ['-V']).status === 0;

async function inQemuIo(
  path: string,
  commands: readonly string[],
  launcher: readonly string[] = [],
  opened: () => void = () => undefined,
): Promise<number> {
  await using io = await QemuIo.open(path, 'qcow2', launcher);
  opened();
  return io.run(commands);
}

function calls(log: string): number {
  return readFileSync(log, 'latin1').match(/ p(?:read|write)|fallocate/g)?.length ?? 0;
}

/** Prints the tables. */
export async function compareAllocations(folder: string, rounds: number): Promise<void> {
  console.log('\nqcow2, full images with all metadata; per allocation, in brackets 1 TiB / 1 GiB');
  console.log(
    '(flushed in batches, changes of a small image share pieces of tables: fewer writes each)',
  );
  const rows = new Map<string, Cost[]>();
  for (const { name, bytes } of SIZES) {
    const image = join(folder, `full-${name.replace(' ', '')}.qcow2`);
    const options = ['-o', 'preallocation=metadata', '-f', 'qcow2'];
    execFileSync('qemu-img', ['create', '-q', ...options, image, `${bytes}`]);
    for (const contender of CONTENDERS) {
      for (const [test, costs] of await measureAll(contender.measure, image, bytes, rounds)) {
        const key = `${test.padEnd(44)} ${contender.name}`;
        rows.set(key, [...(rows.get(key) ?? []), costs]);
      }
    }
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', image]);
    await rm(image);
  }
  console.log(
    `${''.padEnd(52)}${SIZES.map(({ name }) => `${name}`.padStart(20)).join('')}${'ratio'.padStart(16)}`,
  );
  for (const [key, costs] of rows) {
    const cells = costs.map(({ seconds, ios }) =>
      `${(seconds * 1e6).toFixed(0)} µs, ${ios.toFixed(1)} I/Os`.padStart(20),
    );
    const [first, last] = [costs[0], costs.at(-1)];
    const ratio = (pick: (cost: Cost) => number) =>
      first === undefined || last === undefined ? '' : `×${(pick(last) / pick(first)).toFixed(2)}`;
    console.log(
      `${key.padEnd(52)}${cells.join('')}  (${ratio((c) => c.seconds)}, ${ratio((c) => c.ios)})`,
    );
  }
}

async function measureAll(
  contender: Contender,
  image: string,
  size: number,
  rounds: number,
): Promise<ReadonlyMap<string, Cost>> {
  const result = new Map<string, Cost>();
  result.set(
    'first cluster freed, two allocated',
    await medianCost(rounds, 2, async () => {
      // The image is full but for its last cluster; afterwards it is full again.
      await contender(image, [{ what: 'discard', offset: size - CLUSTER }, FLUSH]);
      return contender(image, [
        { what: 'discard', offset: 0 },
        FLUSH,
        { what: 'write', offset: 0 },
        { what: 'write', offset: size - CLUSTER },
        FLUSH,
      ]);
    }),
  );
  for (const batch of BATCHES) {
    result.set(
      `random discard and allocate, flush after ${batch}`,
      await medianCost(rounds, PAIRS, () => contender(image, randomSteps(size, batch))),
    );
  }
  return result;
}

const FLUSH: Step = { what: 'flush', offset: 0 };

function randomSteps(size: number, batch: number): readonly Step[] {
  const steps: Step[] = [];
  for (let pair = 1; pair <= PAIRS; pair += 1) {
    const offset = randomInt(size / CLUSTER) * CLUSTER;
    steps.push({ what: 'discard', offset }, { what: 'write', offset });
    if (pair % batch === 0) {
      steps.push(FLUSH);
    }
  }
  return steps;
}

async function medianCost(
  rounds: number,
  allocations: number,
  measure: () => Promise<Cost>,
): Promise<Cost> {
  const costs: Cost[] = [];
  for (let round = 0; round < rounds; round += 1) {
    costs.push(await measure());
  }
  return {
    seconds: median(costs.map(({ seconds }) => seconds)) / allocations,
    ios: median(costs.map(({ ios }) => ios)) / allocations,
  };
}
