import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type CreateImageOptions,
  DriverRegistry,
  isLamellaError,
  Lamella,
  parseOptions,
} from 'lamella';
import t, { type Test } from 'tap';
import {
  allPairs,
  type Choice,
  coveringRows,
  type Pair,
  pairKey,
  tableOf,
} from './support/create-options.js';
import { pattern } from './support/files.js';
import { skipWithoutQemu } from './support/qemu.js';
import { sandbox } from './support/sandbox.js';

const MIB = 1024 * 1024;
const PASSPHRASE = 'open sesame';
const SECRET = ['--object', `secret,id=s,data=${PASSPHRASE}`];
const lamella = new Lamella();
const driver = lamella.container.resolve(DriverRegistry).get('qcow2');
const exec = promisify(execFile);

/** Options of both programs; another value than a default for each, and what makes them collide. */
const COMMON = {
  size: ['3M', '0', '10486272'],
  compat: ['1.1', '0.10'],
  cluster_size: [undefined, '512', '16k', '2M'],
  refcount_bits: [undefined, '1', '64'],
  lazy_refcounts: [undefined, 'on'],
  extended_l2: [undefined, 'on'],
  compression_type: [undefined, 'zstd'],
  data_file: [undefined, 'a.data'],
  data_file_raw: [undefined, 'on'],
  backing: [undefined, 'base.raw', 'base.qcow2'],
  encryption: [undefined, 'on'],
  'encrypt.format': [undefined, 'luks', 'aes'],
  ...('preallocation' in (driver.createOptions ?? {})
    ? { preallocation: [undefined, 'metadata', 'falloc', 'full'] }
    : {}),
};

/** The options of encryption, with each other. Other options know nothing of them. */
const ENCRYPTION = {
  encryption: [undefined, 'on'],
  'encrypt.format': [undefined, 'luks', 'aes'],
  'encrypt.key-secret': [undefined, 's'],
  'encrypt.cipher-alg': [undefined, 'aes-128'],
  'encrypt.cipher-mode': [undefined, 'cbc'],
  'encrypt.ivgen-alg': [undefined, 'plain', 'essiv'],
  'encrypt.ivgen-hash-alg': [undefined, 'sha256'],
  'encrypt.hash-alg': [undefined, 'sha1'],
  'encrypt.iter-time': [undefined, '10'],
};

/** A set of options to make an image with. */
type Row = ReadonlyMap<string, string>;

/** What a pair needs besides so that it is not refused for something else. */
function inContext(pair: readonly Choice[]): Row {
  const row = new Map<string, string>();
  const asked = new Set(pair.map(({ option }) => option));
  for (const { option, value } of pair) {
    if (value !== undefined) {
      row.set(option, value);
    }
  }
  const need = (when: boolean, option: string, value: string) => {
    if (when && !asked.has(option)) {
      row.set(option, value);
    }
  };
  need(row.has('data_file_raw'), 'data_file', 'a.data');
  need(row.has('encrypt.ivgen-hash-alg'), 'encrypt.ivgen-alg', 'essiv');
  const details = [...row.keys()].some(
    (option) => option.startsWith('encrypt.') && option !== 'encrypt.format',
  );
  need(details && !row.has('encryption'), 'encrypt.format', 'luks');
  const encrypted = row.has('encryption') || row.has('encrypt.format');
  need(encrypted, 'encrypt.key-secret', 's');
  need(row.get('encrypt.format') === 'luks', 'encrypt.iter-time', '10');
  need(true, 'size', '3M');
  return row;
}

function qemuArguments(row: Row): string[] {
  const options = [...row]
    .filter(([option]) => option !== 'size' && option !== 'backing')
    .map(([option, value]) => `${option}=${value}`);
  const backing = row.get('backing');
  return [
    'create',
    '-q',
    ...SECRET,
    '-f',
    'qcow2',
    ...(options.length === 0 ? [] : ['-o', options.join(',')]),
    ...(backing === undefined ? [] : ['-b', backing, '-F', backing.slice('base.'.length)]),
    'a.qcow2',
    row.get('size') ?? '',
  ];
}

function bytesOf(size: string | undefined): number {
  return size?.endsWith('M') ? Number(size.slice(0, -1)) * MIB : Number(size);
}

function ourOptions(row: Row): CreateImageOptions {
  const backing = row.get('backing');
  const others = ['size', 'backing', 'encrypt.key-secret'];
  return {
    format: 'qcow2',
    size: bytesOf(row.get('size')),
    options: Object.fromEntries([...row].filter(([option]) => !others.includes(option))),
    ...(backing === undefined
      ? {}
      : { backing: { location: backing, format: backing.slice('base.'.length) } }),
    ...(row.has('encrypt.key-secret') ? { passphrase: PASSPHRASE } : {}),
  };
}

/** Makes base images in a folder. */
async function prepare(directory: string, from?: string): Promise<string> {
  mkdirSync(directory, { recursive: true });
  if (from === undefined) {
    writeFileSync(join(directory, 'base.raw'), pattern(1, MIB));
    await exec('qemu-img', ['convert', '-O', 'qcow2', 'base.raw', 'base.qcow2'], {
      cwd: directory,
    });
  } else {
    for (const name of ['base.raw', 'base.qcow2']) {
      copyFileSync(join(from, name), join(directory, name));
    }
  }
  return directory;
}

/** CPU time of a running process in ticks of 10 ms; undefined where that can't be told. */
function ticks(pid: number | undefined): number | undefined {
  try {
    const [, rest] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    return Number(rest?.split(' ')[11]);
  } catch {
    return undefined;
  }
}

/**
 * Whether qemu-img makes such an image. Deriving keys takes it seconds; options are checked before, so it
 * is stopped once it has computed for longer than any refusal takes.
 */
async function qemuAccepts(row: Row, directory: string): Promise<boolean> {
  const running = exec('qemu-img', qemuArguments(row), { cwd: directory });
  let enough = false;
  const watch = setInterval(() => {
    if (row.get('encrypt.format') === 'luks' && (ticks(running.child.pid) ?? 0) > 8) {
      enough = true;
      running.child.kill('SIGKILL');
    }
  }, 20);
  try {
    await running;
    return true;
  } catch (error) {
    return enough || cannotMeasure(error);
  } finally {
    clearInterval(watch);
  }
}

/** On a busy machine QEMU may fail to measure how long deriving a key takes. */
function cannotMeasure(error: unknown): boolean {
  return error instanceof Error && /accurate CPU usage/.test(error.message);
}

/** Has qemu-img make an image in a folder. */
async function qemuCreate(row: Row, directory: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await exec('qemu-img', qemuArguments(row), { cwd: directory });
      return;
    } catch (error) {
      if (tries === 5 || !cannotMeasure(error)) {
        throw error;
      }
    }
  }
}

/** Why such an image is refused here; undefined if it is not. Anything but a typed refusal is thrown. */
async function ourRefusal(
  row: Row,
  directory: string,
  accepted: boolean,
): Promise<string | undefined> {
  const { format: _, options, size = 0, ...request } = ourOptions(row);
  try {
    if (accepted) {
      // The rows make images of all accepted pairs; here it is enough to ask.
      const backing = typeof request.backing === 'object' ? request.backing : undefined;
      driver.validateCreate?.({
        size,
        backing,
        passphrase: request.passphrase,
        options: parseOptions(driver.createOptions ?? {}, options ?? {}, 'the test'),
      });
    } else {
      await lamella.create(join(directory, 'a.qcow2'), { ...ourOptions(row), overwrite: true });
    }
    return undefined;
  } catch (error) {
    if (
      isLamellaError(error) &&
      ['INVALID_ARGUMENT', 'UNSUPPORTED', 'LIMIT_EXCEEDED', 'PASSPHRASE_REQUIRED'].includes(
        error.code,
      )
    ) {
      return error.message;
    }
    throw error;
  }
}

/** Runs an action on all items, two at a time, each with a folder of its own. */
async function eachOf<T>(
  items: readonly T[],
  action: (item: T, lane: number) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const lane = async (number: number): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await action(item, number);
    }
  };
  await Promise.all([lane(0), lane(1)]);
}

/** Compares acceptance pair by pair; gives the pairs that both accept. */
async function comparePairs(t: Test, pairs: readonly Pair[]): Promise<Set<string>> {
  const root = sandbox(t);
  const lanes = [await prepare(join(root, '0')), await prepare(join(root, '1'))];
  const accepted = new Set<string>();
  const wrong: string[] = [];
  // Many pairs with an option that is not given come to the same.
  const verdicts = new Map<string, Promise<boolean>>();
  const compare = async (row: Row, name: string, directory: string): Promise<boolean> => {
    const qemu = await qemuAccepts(row, directory);
    const refusal = await ourRefusal(row, directory, qemu);
    if (qemu !== (refusal === undefined)) {
      wrong.push(`${name}: QEMU ${qemu ? 'accepts' : 'refuses'} it, Lamella: ${refusal ?? 'yes'}`);
    }
    return qemu && refusal === undefined;
  };
  await eachOf(pairs, async (pair, lane) => {
    const row = inContext(pair);
    const name = [...row]
      .map(([option, value]) => `${option}=${value}`)
      .sort()
      .join(',');
    const verdict = verdicts.get(name) ?? compare(row, name, lanes[lane] ?? root);
    verdicts.set(name, verdict);
    if (await verdict) {
      accepted.add(pairKey(...pair));
    }
  });
  t.same(wrong, [], `${pairs.length} pairs, ${accepted.size} accepted`);
  return accepted;
}

/** How qemu-img and qemu-io are told to open the image of a row in the working directory. */
function imageOptions(row: Row): string[] {
  const encrypted = row.has('encrypt.key-secret') ? ',encrypt.key-secret=s' : '';
  return [...SECRET, '--image-opts', `driver=qcow2,file.filename=a.qcow2${encrypted}`];
}

async function qemuIo(directory: string, row: Row, commands: readonly string[]): Promise<string> {
  const args = [...imageOptions(row), ...commands.flatMap((command) => ['-c', command])];
  const { stdout } = await exec('qemu-io', args, { cwd: directory });
  return stdout;
}

interface Info {
  readonly [key: string]: unknown;
  readonly 'format-specific': { readonly data: Record<string, unknown> };
}

/** What `qemu-img info` says, without what differs from image to image. */
async function info(directory: string): Promise<unknown> {
  const { stdout } = await exec('qemu-img', ['info', '--output=json', 'a.qcow2'], {
    cwd: directory,
  });
  const parsed: Info = JSON.parse(stdout);
  const { 'actual-size': _, ...rest } = parsed;
  const { encrypt } = parsed['format-specific'].data;
  if (typeof encrypt === 'object' && encrypt !== null) {
    // Random or measured on this machine.
    for (const key of ['uuid', 'master-key-iters']) {
      Reflect.deleteProperty(encrypt, key);
    }
    const slots: unknown = Reflect.get(encrypt, 'slots');
    for (const slot of Array.isArray(slots) ? slots : []) {
      Reflect.deleteProperty(slot, 'iters');
    }
  }
  return rest;
}

/** Both programs write, zero and read in turns; all must be there in the end, and nothing be broken. */
async function exercise(t: Test, directory: string, row: Row, who: string): Promise<void> {
  const path = join(directory, 'a.qcow2');
  const passphrase = row.has('encrypt.key-secret') ? PASSPHRASE : undefined;
  const size = bytesOf(row.get('size'));
  const model = new Uint8Array(Math.ceil(size / 512) * 512);
  if (row.has('backing')) {
    model.set(pattern(1, MIB).subarray(0, model.length));
  }
  const write = async (value: number, offset: number, length: number) => {
    await using disk = await lamella.open(path, { writable: true, passphrase });
    await disk.write(new Uint8Array(length).fill(value), offset);
    model.fill(value, offset, offset + length);
    await disk.writeZeroes(offset + 2 * length, length);
    model.fill(0, offset + 2 * length, offset + 3 * length);
  };
  if (size > 0) {
    await write(0x11, 70_001, 10_000);
    const output = await qemuIo(directory, row, [
      'read -P 0x11 70001 10000',
      'read -P 0 90001 10000',
      'write -P 0x22 75k 100k',
      'write -z 1M 200k',
      'discard 500k 64k',
    ]);
    t.notMatch(output, /fail|error/i, `${who}: QEMU reads what was written here`);
    model.fill(0x22, 75 * 1024, 175 * 1024);
    model.fill(0, MIB, MIB + 200 * 1024);
    await write(0x33, 2 * MIB - 5000, 20_000);
    await write(0x44, size - 2100, 700);
  }
  const [check] = await Promise.all([
    exec('qemu-img', ['check', ...imageOptions(row)], { cwd: directory }),
  ]);
  t.match(check.stdout, /No errors were found/, `${who}: clean`);
  t.match(await lamella.check(path), { corruptions: 0, leaks: 0, checkErrors: 0 });
  await using disk = await lamella.open(path, { passphrase });
  const seen = new Uint8Array(disk.size);
  await disk.read(seen, 0);
  // A discard leaves zeroes or what was there.
  const [from, to] = [500 * 1024, 564 * 1024];
  model.subarray(from, to).set(seen.subarray(from, to));
  if (row.get('data_file_raw') === 'on' && passphrase !== undefined && who === 'QEMU') {
    // QEMU maps what nobody ever ciphered: such a disk begins with noise.
    return;
  }
  // Version 2 has no mark for a preallocated cluster that reads as zeroes.
  const unmarked = who === 'QEMU' || row.get('compat') === '0.10' || row.get('compat') === 'v2';
  if (row.get('preallocation') !== undefined && passphrase !== undefined && unmarked) {
    return;
  }
  t.equal(Buffer.compare(seen, model), 0, `${who}: contents`);
}

t.test('pairs of create options', { ...skipWithoutQemu, timeout: 300_000 }, async (t) => {
  const table = tableOf(COMMON);
  const pairs = allPairs(table);
  const accepted = await comparePairs(t, pairs);
  const refused = pairs.length - accepted.size;
  t.ok(refused > 8, `QEMU refuses some (${refused})`);

  const rows = coveringRows(table, (a, b) => accepted.has(pairKey(a, b)));
  const root = sandbox(t);
  const bases = await prepare(join(root, 'bases'));
  const seen = new Set<string>();
  let number = 0;
  await eachOf(rows, async (choices) => {
    const row = inContext(choices);
    const name = [...row].map(([option, value]) => `${option}=${value}`).join(',');
    number += 1;
    const directory = join(root, `${number}`);
    const ours = await prepare(join(directory, 'ours'), bases);
    const theirs = await prepare(join(directory, 'theirs'), bases);
    await qemuCreate(row, theirs);
    await lamella.create(join(ours, 'a.qcow2'), ourOptions(row));
    await t.test(name, async (t) => {
      t.same(await info(ours), await info(theirs), 'info');
      t.same(readdirSync(ours), readdirSync(theirs), 'files');
      await exercise(t, ours, row, 'Lamella');
      await exercise(t, theirs, row, 'QEMU');
    });
    for (const [index, a] of choices.entries()) {
      for (const b of choices.slice(index + 1)) {
        seen.add(pairKey(a, b));
      }
    }
  });
  t.same(
    [...accepted].filter((key) => !seen.has(key)),
    [],
    `${rows.length} images of each program have every accepted pair`,
  );
});

t.test('pairs of encryption options', { ...skipWithoutQemu, timeout: 300_000 }, async (t) => {
  await comparePairs(t, allPairs(tableOf(ENCRYPTION)));
});
