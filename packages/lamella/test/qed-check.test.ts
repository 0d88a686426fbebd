import { copyFileSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { outcome, paths, qemuIo, run } from '@lamella/test-support';
import { type CheckResult, Lamella, type RepairMode } from 'lamella';
import t from 'tap';
import { getUint64, setUint64 } from './support/files.js';
import { skipWithoutQemu } from './support/qemu.js';

const CLUSTER = 65536;
const lamella = new Lamella();
const at = paths(t);

interface Damage {
  readonly name: string;
  readonly harm: (path: string) => void;
  /** Size of the disk. */
  readonly size?: string;
}

const l1 = (path: string) => getUint64(path, 40);
const table = (path: string) => getUint64(path, l1(path));
const entry = (path: string, index: number) => getUint64(path, table(path) + 8 * index);
const setL1 = (path: string, index: number, value: number | bigint) =>
  setUint64(path, l1(path) + 8 * index, value);
const setL2 = (path: string, index: number, value: number | bigint) =>
  setUint64(path, table(path) + 8 * index, value);
const grow = (path: string, bytes: number) => truncateSync(path, statSync(path).size + bytes);

const DAMAGES: readonly Damage[] = [
  { name: 'none', harm: () => undefined },
  { name: 'L2 entry unaligned', harm: (p) => setL2(p, 0, table(p) + 4097) },
  { name: 'L2 entry beyond the file', harm: (p) => setL2(p, 0, 2 ** 30) },
  { name: 'L2 entry beyond 2^53', harm: (p) => setL2(p, 1, (1n << 63n) + 65536n) },
  { name: 'L2 entry in the header', harm: (p) => setL2(p, 1, 3) },
  { name: 'L2 entry to the L1 table', harm: (p) => setL2(p, 1, l1(p)) },
  { name: 'L2 entry to its own table', harm: (p) => setL2(p, 1, table(p)) },
  { name: 'cluster used twice', harm: (p) => setL2(p, 1, entry(p, 0)) },
  {
    name: 'cluster used three times',
    harm: (p) => {
      setL2(p, 1, entry(p, 0));
      setL2(p, 2, entry(p, 0));
    },
  },
  { name: 'L1 entry unaligned', harm: (p) => setL1(p, 1, 4097) },
  { name: 'L1 entry beyond the file', harm: (p) => setL1(p, 1, 2 ** 30) },
  { name: 'L1 entry of 2^63', harm: (p) => setL1(p, 1, 1n << 63n) },
  { name: 'L1 entry of 1', harm: (p) => setL1(p, 1, 1) },
  { name: 'L1 entry partly beyond the file', harm: (p) => setL1(p, 1, 0xe0000) },
  { name: 'table used twice', harm: (p) => setL1(p, 1, table(p)) },
  { name: 'table that is the L1 table', harm: (p) => setL1(p, 1, l1(p)) },
  { name: 'table over data', harm: (p) => setL1(p, 1, entry(p, 0)) },
  { name: 'table over half a table', harm: (p) => setL1(p, 1, table(p) + CLUSTER) },
  {
    name: 'table over data and leaks',
    harm: (p) => {
      grow(p, 3 * CLUSTER);
      setL1(p, 1, entry(p, 8));
    },
  },
  { name: 'leaks at the end', harm: (p) => grow(p, 3 * CLUSTER) },
  { name: 'leaks at the end and part of a cluster', harm: (p) => grow(p, 3 * CLUSTER + 100) },
  { name: 'leak in between', harm: (p) => setL2(p, 1, 0) },
  { name: 'zero cluster', harm: (p) => setL2(p, 30, 1) },
  { name: 'file cut by a cluster', harm: (p) => grow(p, -CLUSTER) },
  { name: 'file cut by less than a sector', harm: (p) => grow(p, -100) },
  { name: 'file cut by more than a sector', harm: (p) => grow(p, -1000) },
  { name: 'entry behind the end of the disk', harm: (p) => setL2(p, 2000, entry(p, 8)) },
  { name: 'marked unclean', harm: (p) => setUint64(p, 16, 2) },
  {
    name: 'marked unclean, with a leak',
    harm: (p) => {
      setUint64(p, 16, 2);
      setL2(p, 1, 0);
    },
  },
  {
    name: 'marked unclean, with a bad entry',
    harm: (p) => {
      setUint64(p, 16, 2);
      setL2(p, 1, 4097);
    },
  },
  { name: 'a size of no whole cluster', size: '67109376', harm: () => undefined },
  {
    name: 'two tables',
    size: '5G',
    harm: (p) => qemuIo('qed', p, 'write -q -P 5 3G 128k', 'write -q -P 5 1G 64k'),
  },
];

const REPAIRS: readonly (readonly [RepairMode, readonly string[]])[] = [
  ['none', []],
  ['leaks', ['-r', 'leaks']],
  ['all', ['-r', 'all']],
];

function make(path: string, size: string): void {
  run('qemu-img', 'create', '-q', '-f', 'qed', path, size);
  qemuIo('qed', path, 'write -P 5 0 256k', 'write -P 6 1M 128k', 'write -P 7 512k 64k');
}

/** The counts as `qemu-img check --output=json` names them; it leaves out those that are 0. */
function counts(result: CheckResult): Record<string, number | undefined> {
  return {
    'image-end-offset': result.imageEndOffset,
    corruptions: result.corruptions,
    leaks: result.leaks,
    'check-errors': result.checkErrors,
    'corruptions-fixed': result.corruptionsFixed,
    'leaks-fixed': result.leaksFixed,
    'total-clusters': result.totalClusters,
    'allocated-clusters': result.allocatedClusters,
    'fragmented-clusters': result.fragmentedClusters,
    'compressed-clusters': result.compressedClusters,
  };
}

for (const { name, harm, size } of DAMAGES) {
  t.test(`as qemu-img check: ${name}`, skipWithoutQemu, async (t) => {
    const damaged = at('damaged.qed');
    make(damaged, size ?? '64M');
    harm(damaged);
    const ours = at('ours.qed');
    const theirs = at('theirs.qed');
    for (const [repair, flags] of REPAIRS) {
      copyFileSync(damaged, ours);
      copyFileSync(damaged, theirs);
      const answer = outcome('qemu-img', ['check', '-f', 'qed', '--output=json', ...flags, theirs]);
      const expected: unknown = JSON.parse(answer.stdout);
      const result = await lamella.check(ours, { format: 'qed', repair });
      const found = counts(result);
      const shown = Object.fromEntries(
        Object.entries(found).filter(
          ([key, value]) => value !== undefined && (value > 0 || key === 'check-errors'),
        ),
      );
      t.same({ ...shown, filename: theirs, format: 'qed' }, expected, `repair: ${repair}`);
      const corruptions = result.findings.filter(({ kind }) => kind === 'corruption');
      t.equal(
        corruptions.length > 0,
        result.corruptions + result.corruptionsFixed > 0,
        'says what it found',
      );
      t.equal(corruptions.filter(({ fixed }) => fixed).length, result.corruptionsFixed);
      t.equal(
        Buffer.compare(readFileSync(ours), readFileSync(theirs)),
        0,
        'the same file after it',
      );
    }
  });
}

t.test('an unclean image with a cluster used twice keeps its mark', skipWithoutQemu, async (t) => {
  const path = at('twice.qed');
  make(path, '64M');
  setL2(path, 1, entry(path, 0));
  setUint64(path, 16, 2);
  const result = await lamella.check(path, { repair: 'all' });
  t.match(result, { corruptions: 1, corruptionsFixed: 0, leaks: 1 });
  t.equal(getUint64(path, 16), 2, 'QEMU clears it; then nobody would know any more');
  await t.rejects(lamella.open(path, { writable: true }), { code: 'CORRUPT', location: path });
});

t.test('an image that was checked opens for writing', skipWithoutQemu, async (t) => {
  const path = at('mended.qed');
  make(path, '64M');
  setL2(path, 1, 4097);
  await lamella.check(path, { repair: 'all' });
  const disk = await lamella.open(path, { writable: true });
  await disk.write(new Uint8Array(CLUSTER).fill(9), 4 * 1024 * 1024);
  await disk.close();
  t.match(await lamella.check(path), { corruptions: 0 });
});

t.test('QEMU finds nothing wrong with parked clusters', skipWithoutQemu, async (t) => {
  const path = at('parked.qed');
  make(path, '64M');
  for (const index of [1, 2, 8]) {
    setL2(path, index, 0);
  }
  setUint64(path, 16, 2);
  const map = () => run('qemu-img', 'map', '--output=json', path);
  const before = map();
  t.equal(outcome('qemu-img', ['check', path]).status, 3, 'leaks');
  await (await lamella.open(path, { writable: true })).close();
  t.equal(outcome('qemu-img', ['check', path]).status, 0);
  t.equal(map(), before);
  run('qemu-img', 'resize', '-q', path, '3G');
  qemuIo('qed', path, 'read -P 0 64M 4M', 'write -P 8 64M 192k', 'read -P 5 0 64k');
  t.equal(outcome('qemu-img', ['check', path]).status, 0);
  const disk = await lamella.open(path, { writable: true });
  const found = Buffer.alloc(256 * 1024);
  await disk.read(found, 64 * 1024 * 1024);
  const expected = Buffer.concat([Buffer.alloc(192 * 1024, 8), Buffer.alloc(64 * 1024)]);
  t.equal(Buffer.compare(found, expected), 0);
  await disk.close();
});

t.test('opens nothing but the image, and ends when told to', skipWithoutQemu, async (t) => {
  const path = at('overlay.qed');
  run(
    'qemu-img',
    'create',
    '-q',
    '-u',
    '-f',
    'qed',
    '-b',
    '/no/such/file',
    '-F',
    'raw',
    path,
    '64M',
  );
  const progress: number[] = [];
  const result = await lamella.check(path, {
    onProgress: ({ done, total }) => progress.push(done / total),
  });
  t.match(result, { corruptions: 0, leaks: 0, totalClusters: 1024 });
  t.equal(progress.at(-1), 1);
  await t.rejects(lamella.check(path, { signal: AbortSignal.abort() }), { code: 'ABORTED' });
  const raw = at('plain.raw');
  await lamella.create(raw, { format: 'raw', size: 4096 });
  await t.rejects(lamella.check(raw), { code: 'UNSUPPORTED' });
});
