/**
 * Reading compressed images and writing compressed, beside `qemu-img convert` doing the same: from a file
 * to a new file, page cache warm.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Disk, Lamella } from 'lamella';
import { median } from './stats.js';

const run = promisify(execFile);

const MIB = 1024 * 1024;
const SIZE = 256 * MIB;
const CLUSTER = 64 * 1024;
/** Bytes of one request, and requests under way at once. */
const REQUEST = 2 * MIB;
const DEPTH = 4;

const TYPES = ['zlib', 'zstd'] as const;
type CompressionType = (typeof TYPES)[number];

/** Files of a comparison. */
interface Files {
  readonly raw: string;
  readonly compressed: string;
  readonly output: string;
}

/**
 * Prints a table of medians and ratios.
 *
 * @param folder - for files of some 256 MiB each
 */
export async function compareCompressed(folder: string, rounds: number): Promise<void> {
  const [load = 0] = loadavg();
  console.log(`\nload of the machine: ${load.toFixed(1)} on ${cpus().length} cores`);
  console.log('compressed clusters of 64 KiB, 256 MiB of mixed content, file to file; MB/s');
  console.log(`${''.padEnd(26)}${'lamella'.padStart(10)}${'qemu-img convert'.padStart(20)}`);
  console.log('(ratio of times; then of processor time, which a loaded machine changes less)');
  const raw = join(folder, 'mixed.raw');
  await writeFile(raw, mixedContent());
  for (const type of TYPES) {
    const compressed = join(folder, `mixed-${type}.qcow2`);
    await qemuWrite(raw, compressed, type);
    const files = { raw, compressed, output: join(folder, 'output') };
    await compare(`read ${type}`, files, rounds, read, ({ output }) =>
      qemuRead(compressed, output),
    );
    await compare(
      `write ${type}`,
      files,
      rounds,
      (files) => write(files, type),
      ({ output }) => qemuWrite(raw, output, type),
    );
    await rm(compressed);
  }
  await rm(raw);
}

/** Does it, and tells the processor time that other processes took for that, in seconds. */
type Action = (files: Files) => Promise<number>;

interface Cost {
  readonly seconds: number;
  readonly processor: number;
}

/** The contenders take turns, so that a slow moment of the machine hits both. */
async function compare(
  name: string,
  files: Files,
  rounds: number,
  own: Action,
  theirs: Action,
): Promise<void> {
  const costs: [Cost[], Cost[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    costs[0].push(await costOf(own, files));
    costs[1].push(await costOf(theirs, files));
  }
  const ratio = (pick: (cost: Cost) => number) =>
    (median(costs[0].map(pick)) / median(costs[1].map(pick))).toFixed(2);
  const [ours, qemu] = costs.map((each) =>
    (SIZE / 1e6 / median(each.map(({ seconds }) => seconds))).toFixed(0),
  );
  console.log(
    `${name.padEnd(26)}${ours?.padStart(10)}${qemu?.padStart(20)}` +
      ` (${ratio(({ seconds }) => seconds)}; ${ratio(({ processor }) => processor)})`,
  );
}

async function costOf(action: Action, files: Files): Promise<Cost> {
  await rm(files.output, { force: true });
  const before = process.cpuUsage();
  const start = process.hrtime.bigint();
  const others = await action(files);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const { user, system } = process.cpuUsage(before);
  // What starting a process costs this one is no part of it.
  return { seconds, processor: others > 0 ? others : (user + system) / 1e6 };
}

async function read({ compressed, output }: Files): Promise<number> {
  await using disk = await new Lamella().open(compressed);
  const file = await open(output, 'w');
  // One write at a time: those into one file wait for each other anyway, and burn a core while they do.
  let turn: Promise<unknown> = Promise.resolve();
  try {
    await inLanes(async (buffer, offset) => {
      await disk.read(buffer, offset);
      turn = turn.then(() => file.write(buffer, 0, buffer.length, offset));
      await turn;
    });
  } finally {
    await file.close();
  }
  return 0;
}

async function write({ raw, output }: Files, type: CompressionType): Promise<number> {
  const lamella = new Lamella();
  const options = { compression_type: type, cluster_size: CLUSTER };
  await lamella.create(output, { format: 'qcow2', size: SIZE, options });
  const file = await open(raw);
  const disk: Disk = await lamella.open(output, { writable: true });
  try {
    await inLanes(async (buffer, offset) => {
      await file.read(buffer, 0, buffer.length, offset);
      await disk.writeCompressed(buffer, offset);
    });
  } finally {
    await disk.close();
    await file.close();
  }
  return 0;
}

/** Passes over the disk with several requests under way. */
async function inLanes(
  request: (buffer: Uint8Array, offset: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    const buffer = new Uint8Array(REQUEST);
    while (next < SIZE) {
      const offset = next;
      next += REQUEST;
      await request(buffer, offset);
    }
  };
  await Promise.all(Array.from({ length: DEPTH }, lane));
}

function qemuRead(from: string, to: string): Promise<number> {
  return qemuImg('convert', '-f', 'qcow2', '-O', 'raw', from, to);
}

function qemuWrite(from: string, to: string, type: CompressionType): Promise<number> {
  const options = `compression_type=${type},cluster_size=${CLUSTER}`;
  return qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', options, from, to);
}

/** Processor time in seconds. */
async function qemuImg(...args: readonly string[]): Promise<number> {
  const { stdout } = await run('sh', ['-c', 'qemu-img "$@" && times', 'sh', ...args]);
  // The last line is that of the children: minutes and seconds for themselves and for the system.
  const children = stdout.trimEnd().split('\n').at(-1) ?? '';
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds),
    0,
  );
}

/** A quarter that does not compress, the rest text and tables that do, in stretches of 1 MiB. */
function mixedContent(): Uint8Array {
  const content = new Uint8Array(SIZE);
  const words = 'the image a cluster of sectors maps refers to frees shares and writes'.split(' ');
  for (let at = 0, stretch = 0; at < SIZE; at += MIB, stretch += 1) {
    const part = content.subarray(at, at + MIB);
    if (stretch % 4 === 3) {
      part.set(randomBytes(MIB));
      continue;
    }
    const picks = randomBytes(MIB / 4);
    const text = Array.from(picks, (pick) => words[pick % words.length] ?? `${pick}`).join(' ');
    part.set(new TextEncoder().encode(text.slice(0, MIB)));
  }
  return content;
}
