/**
 * `npm run bench`: the library beside `qemu-img bench` on the same images, in one run, as ratios of
 * medians. Page cache warm; cold figures need a machine of their own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { widenThreadPool } from '@lamella/platform-node';
import { compareAllocations } from './allocations.js';
import { compareCompressed } from './compressed.js';
import { type Contender, library, qemu } from './contenders.js';
import { compareConvert } from './convert.js';
import { compareExtents } from './extents.js';
import { compareStartUp } from './start-up.js';
import { median } from './stats.js';
import { compareWholeImages } from './whole-images.js';
import { WORKLOADS, type Workload } from './workload.js';

widenThreadPool();

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SIZE = '1G';
const CONTENDERS: readonly Contender[] = [library, qemu('threads'), qemu('io_uring')];

/** `BENCH_ONLY` with the name of a part leaves the others out. */
function wanted(part: string): boolean {
  return [part, undefined].includes(process.env.BENCH_ONLY);
}

async function compare(image: string, format: string, workload: Workload): Promise<void> {
  const seconds = new Map<Contender, number[]>(CONTENDERS.map((contender) => [contender, []]));
  // The contenders take turns, so that a slow moment of the machine hits all of them.
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [contender, times] of seconds) {
      times.push(await contender.measure(image, format, workload));
    }
  }
  const own = median(seconds.get(library) ?? []);
  const cells = [...seconds].map(([contender, times]) => {
    const time = median(times);
    const each = ((time / workload.count) * 1e6).toFixed(1).padStart(8);
    const ratio = contender === library ? '' : ` (${(own / time).toFixed(2)})`;
    return `${each} µs${ratio.padEnd(8)}`;
  });
  console.log(
    `${format.padEnd(6)} ${workload.name.padEnd(22)} x${String(workload.depth).padEnd(3)} ${cells.join(' ')}`,
  );
}

const folder = await mkdtemp(join(tmpdir(), 'lamella-bench-'));
try {
  console.log(`Node ${process.version}, ${cpus().length} cores, ${ROUNDS} rounds, medians`);
  console.log(
    'time per request; in brackets lamella / qemu-img: below 1 is faster than qemu-img\n',
  );
  console.log(`${''.padEnd(35)}${CONTENDERS.map(({ name }) => name.padStart(18)).join(' ')}`);
  const formats = wanted('requests') ? ['qcow2', 'qed'] : [];
  for (const format of formats) {
    const image = join(folder, `bench.${format}`);
    execFileSync('qemu-img', ['create', '-q', '-f', format, image, SIZE]);
    execFileSync('qemu-io', ['-f', format, '-c', `write -P 0xa5 0 ${SIZE}`, image]);
    for (const workload of WORKLOADS) {
      await compare(image, format, workload);
    }
    execFileSync('qemu-img', ['check', '-q', '-f', format, image]);
    await rm(image);
  }
  if (wanted('compressed')) {
    await compareCompressed(folder, ROUNDS);
  }
  if (wanted('convert')) {
    await compareConvert(folder, ROUNDS);
  }
  if (wanted('whole-images')) {
    await compareWholeImages(folder, ROUNDS);
  }
  if (wanted('start-up')) {
    await compareStartUp(folder, ROUNDS);
  }
  if (wanted('extents')) {
    await compareExtents(folder, ROUNDS);
  }
  if (wanted('allocations')) {
    await compareAllocations(folder, ROUNDS);
  }
} finally {
  await rm(folder, { recursive: true });
}
