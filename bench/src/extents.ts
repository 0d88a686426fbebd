import { execFile } from 'node:child_process';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Lamella } from 'lamella';
import { median } from './stats.js';

const run = promisify(execFile);
const TIB = 1024 ** 4;
const PAGE = 4096;
const ISLANDS = 10_000;
const LISTER = fileURLToPath(new URL('./list-extents.js', import.meta.url));
const MAX_OUTPUT = 64 * 1024 * 1024;

/** Where a run of a file is data or not. */
interface Row {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset: number;
}

/**
 * Lists the extents of a sparse raw file of 1 TiB with ten thousand islands of 4 to 64 KiB, beside
 * `qemu-img map`: row for row the same, and how long each takes.
 */
export async function compareExtents(folder: string, rounds: number): Promise<void> {
  const file = join(folder, 'sparse.raw');
  await makeIslands(file);
  const first = await timed(() => listInProcess(file));
  const times: Record<'qemu' | 'library' | 'process' | 'node', number[]> = {
    qemu: [],
    library: [],
    process: [],
    node: [],
  };
  for (let round = 0; round < rounds; round += 1) {
    const theirs = await timed(() => tool('qemu-img', 'map', '--output=json', '-f', 'raw', file));
    const library = await timed(() => listInProcess(file));
    const ours = await timed(() => tool(process.execPath, LISTER, file));
    const node = await timed(() => tool(process.execPath, '-e', '0'));
    times.qemu.push(theirs.seconds);
    times.library.push(library.seconds);
    times.process.push(ours.seconds);
    times.node.push(node.seconds);
    const expected: Row[] = JSON.parse(theirs.result);
    assertSame(library.result, expected);
    assertSame(JSON.parse(ours.result), expected);
  }
  const base = median(times.qemu);
  const show = (what: string, seconds: number) =>
    console.log(
      `  ${what.padEnd(52)} ${(seconds * 1e3).toFixed(0).padStart(6)} ms (${(seconds / base).toFixed(2)})`,
    );
  console.log(`\nextents of a 1 TiB sparse raw file, ${first.result.length} rows, all alike`);
  show('qemu-img map --output=json, the whole process', base);
  show('lamella, open and list in a running program', median(times.library));
  show('the same for the first time, before V8 compiles it', first.seconds);
  show('lamella as a process that prints JSON', median(times.process));
  show('of which node alone', median(times.node));
}

async function makeIslands(path: string): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'w');
    await file.truncate(TIB);
    const bytes = Buffer.alloc(16 * PAGE, 1);
    const stride = Math.floor(TIB / ISLANDS / PAGE) * PAGE;
    for (let i = 0; i < ISLANDS; i += 1) {
      const length = PAGE * (1 + ((i * 7) % 16));
      await file.write(bytes, 0, length, i * stride + PAGE * ((i * 13) % 1000));
    }
    await file.sync();
  } finally {
    await file?.close();
  }
}

async function listInProcess(file: string): Promise<Row[]> {
  const rows: Row[] = [];
  await using disk = await new Lamella().open(file, { format: 'raw' });
  for await (const { offset, length, kind, hostOffset } of disk.extents()) {
    const zero = kind === 'zero';
    rows.push({ start: offset, length, zero, data: !zero, offset: hostOffset ?? -1 });
  }
  return rows;
}

async function tool(name: string, ...args: string[]): Promise<string> {
  return (await run(name, args, { maxBuffer: MAX_OUTPUT })).stdout;
}

async function timed<T>(action: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  const start = process.hrtime.bigint();
  const result = await action();
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, result };
}

function assertSame(ours: readonly Row[], theirs: readonly Row[]): void {
  const text = (row: Row | undefined) =>
    row && `${row.start} ${row.length} ${row.zero} ${row.data} ${row.offset}`;
  const wrong = Array.from({ length: Math.max(ours.length, theirs.length) }, (_, i) => i).find(
    (i) => text(ours[i]) !== text(theirs[i]),
  );
  if (wrong !== undefined) {
    throw new Error(`row ${wrong}: ${text(ours[wrong])}, qemu-img says ${text(theirs[wrong])}`);
  }
}
