import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { directory, needs, run } from '@lamella/test-support';
import fc from 'fast-check';
import t from 'tap';
import type { Outcome } from './support/in-process.js';
import { runOurs, runQemu } from './support/programs.js';

const KIB = 1024;
const RUNS = Number(process.env.LAMELLA_RUNS ?? 25);

/** How a layer is made. A base of a chain has no backing file; the options of the others go with one. */
interface Layer {
  readonly format: string;
  readonly options: readonly string[];
  /** Size of the disk, KiB. */
  readonly size: number;
  /** What is written to it: kind, place and length in KiB. */
  readonly writes: readonly (readonly [string, number, number])[];
}

const writes = fc.array(
  fc.tuple(
    fc.constantFrom('write -P 5', 'write -P 0', 'write -z', 'write -z -u', 'write -c', 'discard'),
    fc.nat(1500),
    fc.integer({ min: 1, max: 400 }),
  ),
  { maxLength: 6 },
);

const layer = (options: readonly (readonly [string, readonly string[]])[]): fc.Arbitrary<Layer> =>
  fc
    .record({
      made: fc.constantFrom(...options),
      size: fc.constantFrom(1024, 1536, 1540, 2048),
      writes,
    })
    .map(({ made: [format, words], ...rest }) => ({ format, options: words, ...rest }));

const base = layer([
  ['raw', []],
  ['qed', []],
  ['qcow2', ['preallocation=metadata']],
  ['qcow2', ['preallocation=metadata', 'cluster_size=4k']],
  ['qcow2', ['preallocation=metadata', 'extended_l2=on']],
  ['qcow2', ['preallocation=falloc']],
  ['qcow2', ['compat=0.10']],
]);
const overlay = layer([
  ['qed', ['cluster_size=4k']],
  ['qcow2', ['compat=0.10']],
  ['qcow2', ['cluster_size=16k']],
  ['qcow2', ['extended_l2=on']],
]);

const chains = fc
  .tuple(base, fc.array(overlay, { maxLength: 2 }))
  .map(([lowest, overlays]) => [lowest, ...overlays]);

/** Makes a chain by QEMU's tools; the name of its top. */
function make(folder: string, layers: readonly Layer[]): string {
  let below: { readonly name: string; readonly format: string } | undefined;
  for (const [index, { format, options, size, writes }] of layers.entries()) {
    const name = `${index}.${format}`;
    rmSync(join(folder, name), { force: true });
    const backing = below === undefined ? [] : ['-b', below.name, '-F', below.format];
    const given = options.length === 0 ? [] : ['-o', options.join(',')];
    run(
      'qemu-img',
      'create',
      '-q',
      '-f',
      format,
      ...given,
      ...backing,
      join(folder, name),
      `${size}k`,
    );
    for (const [verb, offset, length] of writes) {
      const inside = Math.min(length, size - offset);
      const able = format === 'qcow2' || !/ -[cz]/.test(verb);
      if (inside > 0 && able) {
        const [first, count] = verb === 'write -c' ? [alignDown(offset), 64] : [offset, inside];
        const fits = first + count <= size;
        runIo(folder, name, format, `${verb} ${first * KIB} ${(fits ? count : inside) * KIB}`);
      }
    }
    below = { name, format };
  }
  return below?.name ?? '';
}

const alignDown = (kib: number): number => kib - (kib % 64);

/** A compressed write that is no whole cluster fails, and writes nothing. */
function runIo(folder: string, name: string, format: string, command: string): void {
  try {
    run('qemu-io', '-f', format, '-c', command, join(folder, name));
  } catch {
    // The layer is without it, then.
  }
}

const text = ({ stdout, stderr, code }: Outcome): string =>
  `${code} ${stderr}${stdout}`
    .replace(/, "compressed": (true|false)\}/g, '}')
    .replace(/"compressed": (true|false), /g, '');

const COMMANDS = [
  ['map', '--output=json'],
  ['map'],
  ['map', '--output=json', '-s', '100k', '-l', '900k'],
  ['measure', '-O', 'qcow2'],
  ['measure', '-O', 'raw'],
];

t.test(
  'where the data of a chain are, as qemu-img tells it',
  { ...needs('qemu-img', 'qemu-io'), timeout: 600_000 },
  async (t) => {
    const folder = directory(t);
    const seed = Number(process.env.LAMELLA_SEED ?? Math.floor(Math.random() * 2 ** 31));
    t.comment(`seed ${seed}`);
    let previous: string | undefined;
    await fc.assert(
      fc.asyncProperty(chains, async (layers) => {
        const top = make(folder, layers);
        for (const words of COMMANDS) {
          const expected = text(runQemu(folder, [...words, top]));
          const actual = text(await runOurs(folder, [...words, top]));
          if (actual !== expected) {
            throw new Error(`${words.join(' ')}: ${actual}\ninstead of: ${expected}`);
          }
        }
        previous = top;
      }),
      { seed, numRuns: RUNS },
    );
    t.ok(previous !== undefined, `${RUNS} chains`);
  },
);
