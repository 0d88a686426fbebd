import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileStorageDriver } from '@lamella/platform-node';
import { Lamella, type ReferenceRequest } from 'lamella';
import t from 'tap';
import { DATA, imageWithDataFile, NO_DATA } from './support/data-file-image.js';
import { be64, edited, withBacking } from './support/edits.js';
import { golden } from './support/golden.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';

const lamella = new Lamella();
const v3 = golden('v3.qcow2');

/** First byte that a disk holds at {@link DATA}. */
async function dataOf(path: string, options: Parameters<Lamella['open']>[1] = {}) {
  await using disk = await lamella.open(path, options);
  const byte = new Uint8Array(1);
  await disk.read(byte, DATA);
  return byte[0];
}

t.test("'deny' never touches a data file that is a pipe", async (t) => {
  const directory = sandbox(t);
  const [pipe, path] = [join(directory, 'pipe'), join(directory, 'top')];
  writeFileSync(path, (await imageWithDataFile('pipe')).image);
  execFileSync('mkfifo', [pipe]);
  const child = spawn('sh', ['-c', 'exec 3>"$1"; echo opened', 'sh', pipe]);
  let opened = false;
  child.stdout.on('data', () => {
    opened = true;
  });
  t.teardown(async () => {
    if (child.exitCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  });
  await sleep(300);
  const calls = (['open', 'realLocation', 'resolve', 'create', 'remove'] as const).map((method) =>
    t.capture(FileStorageDriver.prototype, method, FileStorageDriver.prototype[method]),
  );
  const before = photograph(directory);

  const disk = await lamella.open(path, { references: 'deny' });
  t.same(disk.layers[0]?.references.dataFile, { location: 'pipe' });
  t.equal(disk.layers[0]?.options.data_file, 'pipe');
  t.equal(disk.layers[0]?.dataFile, undefined, 'it was not opened');
  const denied = await failure(() => disk.read(new Uint8Array(512), DATA));
  t.equal(denied.code, 'REFERENCE_DENIED');
  t.equal(denied.location, path);
  t.match(denied.message, /'pipe'/);
  t.match(denied.hint, /references/);
  const zeroes = new Uint8Array(512).fill(1);
  await disk.read(zeroes, NO_DATA);
  t.ok(
    zeroes.every((byte) => byte === 0),
    'what the metadata alone tells can be read',
  );
  const kinds = new Set<string>();
  for await (const { kind } of disk.extents()) {
    kinds.add(kind);
  }
  t.same([...kinds].sort(), ['data', 'unallocated']);
  await disk.close();
  t.match(await lamella.check(path), { corruptions: 0, leaks: 0 }, 'a check needs no data file');

  const refused = await failure(() => lamella.open(path, { references: 'deny', writable: true }));
  t.equal(refused.code, 'REFERENCE_DENIED');
  t.match(refused.message, /can't be written/);
  const named = calls.flatMap((list) => list().map(({ args }) => JSON.stringify(args)));
  t.ok(named.length > 0, 'the recorder works');
  t.notOk(
    named.some((args) => args.includes('pipe')),
    'no storage was asked about it',
  );

  for (const writable of [false, true]) {
    const error = await failure(() => lamella.open(path, { writable }));
    t.equal(error.code, 'NOT_A_FILE', "'follow' does not hang");
  }
  await sleep(200);
  t.equal(opened, false, 'nobody opened the pipe');
  t.same(photograph(directory), before, 'nothing was written');
  t.same(openFilesIn(directory), []);
  closeSync(openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK));
  for (let round = 0; round < 500 && !opened; round += 1) {
    await sleep(10);
  }
  t.equal(opened, true, 'the probe would have told');
});

t.test('a name in an image is a path, whatever it looks like', async (t) => {
  // CVE-2024-4467: a json: name in the place of the data file made QEMU open anything.
  const directory = sandbox(t);
  const path = join(directory, 'top');
  writeFileSync(join(directory, 'secret'), new Uint8Array(4096).fill(9));
  for (const name of [
    `json:{"driver":"file","filename":"${join(directory, 'secret')}"}`,
    `file:${join(directory, 'secret')}`,
    'nbd:localhost:10809',
    'json:{',
    'x'.repeat(5000),
    'nul\0byte',
  ]) {
    writeFileSync(path, (await imageWithDataFile(name)).image);
    for (const references of ['follow', { within: [directory] }] as const) {
      const error = await failure(() => lamella.open(path, { references }));
      t.ok(
        ['NOT_FOUND', 'REFERENCE_DENIED', 'INVALID_ARGUMENT', 'IO_ERROR'].includes(error.code),
        `${name}: ${error.message}`,
      );
    }
    if (name.length > 1000 || name.includes('\0')) {
      continue;
    }
    await using skipped = await lamella.open(path, { references: 'skip' });
    t.equal(skipped.layers[0]?.references.dataFile?.location, name);
  }
});

t.test('within', async (t) => {
  // CVE-2024-32498: an uploaded image names a file of the host as its data file.
  const root = sandbox(t);
  const [allowed, other] = [join(root, 'dir'), join(root, 'dir-evil')];
  const { data } = await imageWithDataFile('any');
  for (const folder of [allowed, other]) {
    mkdirSync(folder);
    writeFileSync(join(folder, 'data'), data);
  }
  symlinkSync(join(other, 'data'), join(allowed, 'link-out'));
  symlinkSync('data', join(allowed, 'link-in'));
  const top = join(allowed, 'top');
  const policy = { references: { within: [allowed] } };
  for (const name of ['data', 'link-in', '../dir/data', join(allowed, 'data')]) {
    writeFileSync(top, (await imageWithDataFile(name)).image);
    t.equal(await dataOf(top, policy), 7, `${name} is inside`);
  }
  for (const name of [
    '../dir-evil/data',
    join(other, 'data'),
    '/etc/passwd',
    'link-out',
    '../../../../../../../etc/passwd',
  ]) {
    writeFileSync(top, (await imageWithDataFile(name)).image);
    for (const writable of [false, true]) {
      const error = await failure(() => lamella.open(top, { ...policy, writable }));
      t.equal(error.code, 'REFERENCE_DENIED', `${name}: ${error.message}`);
      t.match(error.message, /data file/);
      t.equal(error.location, top);
    }
  }
  t.same(openFilesIn(root), []);
});

t.test('a function decides, for each layer and what it names', async (t) => {
  const directory = sandbox(t);
  const [top, base] = [join(directory, 'top'), join(directory, 'base')];
  const lower = await imageWithDataFile('base.data');
  const upper = await imageWithDataFile('top.data', {}, { location: 'base', format: 'qcow2' });
  writeFileSync(top, upper.image);
  writeFileSync(base, lower.image);
  writeFileSync(join(directory, 'top.data'), upper.data);
  writeFileSync(join(directory, 'base.data'), lower.data);
  const asked: ReferenceRequest[] = [];
  const policy = (answer: (request: ReferenceRequest) => boolean) => ({
    references: (request: ReferenceRequest) => {
      asked.push(request);
      return answer(request);
    },
  });
  t.equal(
    await dataOf(
      top,
      policy(() => true),
    ),
    7,
  );
  t.match(asked, [
    { kind: 'data-file', reference: 'top.data', namedBy: top },
    { kind: 'backing', reference: 'base', namedBy: top },
    { kind: 'data-file', reference: 'base.data', namedBy: base, location: `${base}.data` },
  ]);
  for (const refused of ['top.data', 'base', 'base.data']) {
    const error = await failure(() =>
      lamella.open(top, { writable: true, ...policy(({ reference }) => reference !== refused) }),
    );
    t.equal(error.code, 'REFERENCE_DENIED');
    t.match(error.message, `'${refused}'`);
    t.same(openFilesIn(directory), [], 'what was open when the policy said no is closed');
  }
});

t.test('a json: name of a backing file goes through the gate with its data file', async (t) => {
  const directory = sandbox(t);
  const [top, base, secret] = ['top', 'base', 'secret'].map((name) => join(directory, name));
  if (top === undefined || base === undefined || secret === undefined) {
    return;
  }
  const { image, data } = await imageWithDataFile('base.data');
  writeFileSync(base, image);
  writeFileSync(`${base}.data`, data);
  writeFileSync(
    secret,
    data.map((byte) => byte && 9),
  );
  const name = `json:${JSON.stringify({
    driver: 'qcow2',
    file: { filename: base },
    'data-file': { driver: 'raw', file: { driver: 'file', filename: 'secret' } },
  })}`;
  writeFileSync(top, withBacking(edited(v3, be64(1536, 0n)), name, ''));
  const asked: ReferenceRequest[] = [];
  const references = (request: ReferenceRequest) => {
    asked.push(request);
    return request.kind === 'backing';
  };
  t.equal((await failure(() => lamella.open(top, { references }))).code, 'REFERENCE_DENIED');
  t.match(asked.at(-1), { kind: 'data-file', location: secret, namedBy: base });
  await using disk = await lamella.open(top);
  t.equal(disk.layers[1]?.dataFile, secret, 'it stands before the one that the image names');
});

t.test('what the caller names is opened', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'top');
  const { image, data } = await imageWithDataFile('gone');
  writeFileSync(path, image);
  const here = join(directory, 'here');
  writeFileSync(here, data);
  const nested = `json:${JSON.stringify({
    driver: 'qcow2',
    file: { driver: 'file', filename: path },
    'data-file': { driver: 'file', filename: here },
  })}`;
  for (const references of ['follow', 'deny', 'skip', { within: [] }] as const) {
    t.equal(await dataOf(path, { dataFile: here, references, writable: true }), 7);
    t.equal(await dataOf(nested, { references }), 7);
  }
  const dotted = `json:{"driver":"qcow2","file.filename":"${path}","data-file.filename":"${here}"}`;
  t.equal(await dataOf(dotted), 7);
  await using composed = await lamella.compose([{ location: path, dataFile: here }]);
  t.equal(composed.layers[0]?.dataFile, here);
  await composed.close();

  const missing = await failure(() => lamella.open(path));
  t.equal(missing.code, 'NOT_FOUND');
  t.equal(missing.location, path, 'who wants it');
  t.match(missing.message, /data file 'gone' \(that is .*\/gone\)/);
  await using left = await lamella.open(path, { references: 'skip' });
  t.equal((await failure(() => left.read(new Uint8Array(1), DATA))).code, 'REFERENCE_DENIED');
  await left.close();
  const writing = await failure(() => lamella.open(path, { references: 'skip', writable: true }));
  t.equal(writing.code, 'REFERENCE_DENIED');

  const plain = join(directory, 'plain');
  writeFileSync(plain, v3);
  const useless = await failure(() => lamella.open(plain, { dataFile: here }));
  t.equal(useless.code, 'INVALID_ARGUMENT');
  t.match(useless.message, /keeps its data itself/);
  t.equal((await failure(() => lamella.open(path, { dataFile: 'nowhere' }))).code, 'NOT_FOUND');
  const nameless = join(directory, 'nameless');
  writeFileSync(nameless, edited(image, { at: 112, bytes: Uint8Array.of(1, 2, 3, 4) }));
  const nobody = await failure(() => lamella.open(nameless));
  t.equal(nobody.code, 'INVALID_ARGUMENT');
  t.match(nobody.hint, /dataFile/);
  t.equal(await dataOf(nameless, { dataFile: here }), 7);
  t.same(openFilesIn(directory), []);
});

t.test('relative names start from the image, or from where the caller says', async (t) => {
  const directory = sandbox(t);
  mkdirSync(join(directory, 'sub'));
  const path = join(directory, 'sub', 'top');
  const { image, data } = await imageWithDataFile('the-data');
  writeFileSync(path, image);
  writeFileSync(join(directory, 'the-data'), data);
  t.equal((await failure(() => lamella.open(path))).code, 'NOT_FOUND');
  t.equal(await dataOf(path, { dataFilesBeside: join(directory, 'x') }), 7);
  writeFileSync(
    join(directory, 'sub', 'the-data'),
    data.map((byte) => byte && 8),
  );
  t.equal(await dataOf(path), 8);
});

t.test('loops', async (t) => {
  const directory = sandbox(t);
  const at = (name: string) => join(directory, name);
  const check = async (what: string) => {
    const before = photograph(directory);
    for (const writable of [false, true]) {
      const error = await failure(() => lamella.open(at('top'), { writable }));
      t.equal(error.code, 'CHAIN_LOOP', `${what}: ${error.message}`);
    }
    t.same(photograph(directory), before);
    t.same(openFilesIn(directory), []);
  };
  writeFileSync(at('top'), (await imageWithDataFile('top')).image);
  await check('an image as its own data file');
  linkSync(at('top'), at('hard-link'));
  writeFileSync(at('top'), (await imageWithDataFile('hard-link')).image);
  await check('by another name');

  const base = { location: 'base', format: 'raw' };
  writeFileSync(at('top'), (await imageWithDataFile('base', {}, base)).image);
  writeFileSync(at('base'), readFileSync(at('top')));
  await check('the backing file as data file');

  const lower = await imageWithDataFile('shared');
  writeFileSync(at('base'), lower.image);
  writeFileSync(at('shared'), lower.data);
  const upper = await imageWithDataFile('shared', {}, { location: 'base', format: 'qcow2' });
  writeFileSync(at('top'), upper.image);
  await check('one data file for two layers');
  writeFileSync(at('base'), (await imageWithDataFile('top')).image);
  writeFileSync(at('top'), withBacking(edited(v3, be64(1536, 0n)), 'base', 'qcow2'));
  await check('the top image as data file of the base');
});

t.test('an image that lies on a disk opens nothing', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'outer.raw');
  writeFileSync(join(directory, 'secret'), new Uint8Array(1024 * 1024).fill(9));
  const { image } = await imageWithDataFile(join(directory, 'secret'));
  writeFileSync(path, image);
  await using disk = await lamella.open(path, { format: 'raw' });
  const calls = t.capture(FileStorageDriver.prototype, 'open', FileStorageDriver.prototype.open);
  const error = await failure(() => lamella.filter(disk, { format: 'qcow2' }));
  t.equal(error.code, 'UNSUPPORTED');
  t.same(calls(), []);
});
