import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileStorageDriver } from '@lamella/platform-node';
import { Lamella, type ReferenceRequest } from 'lamella';
import t, { type Test } from 'tap';
import {
  be64,
  edited,
  le32,
  le64,
  QCOW2,
  QED,
  qedWithBacking,
  withBacking,
} from './support/edits.js';
import { golden } from './support/golden.js';
import { failure, openFilesIn, sandbox } from './support/sandbox.js';

const lamella = new Lamella();
const qcow2 = golden('v3.qcow2');
const qed = golden('plain.qed');
// By golden/make.sh: guest byte 512 is data in v3.qcow2, 0 in plain.qed; these are in neither.
const UNALLOCATED = { qcow2: 32_768, qed: 32_768 };

/**
 * Somebody who tries to write to a pipe. The kernel keeps them waiting in open(2) until the pipe is
 * opened for reading, however briefly: so they tell whether anybody touched it.
 */
function writerAt(t: Test, pipe: string): { opened(): boolean } {
  const child = spawn('sh', ['-c', 'exec 3>"$1"; echo opened', 'sh', pipe], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  t.teardown(async () => {
    if (child.exitCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  });
  return { opened: () => output !== '' };
}

/** Waits until a condition holds, at most some seconds. */
async function eventually(condition: () => boolean): Promise<boolean> {
  for (let round = 0; round < 500 && !condition(); round += 1) {
    await sleep(10);
  }
  return condition();
}

for (const [format, image, data] of [
  ['qcow2', withBacking(qcow2, 'pipe', 'raw'), 512],
  ['qed', qedWithBacking(qed, 'pipe', true), 0],
] as const) {
  t.test(`${format}: 'deny' never touches a backing file that is a pipe`, async (t) => {
    const directory = sandbox(t);
    const pipe = join(directory, 'pipe');
    const path = join(directory, 'top');
    writeFileSync(path, image);
    execFileSync('mkfifo', [pipe]);
    const writer = writerAt(t, pipe);
    // Time for the writer to reach open(2); if it does not, the last assertion fails.
    await sleep(300);
    const calls = (['open', 'realLocation', 'resolve', 'create', 'remove'] as const).map((method) =>
      t.capture(FileStorageDriver.prototype, method, FileStorageDriver.prototype[method]),
    );

    for (const writable of [false, true]) {
      const disk = await lamella.open(path, { references: 'deny', writable });
      t.equal(disk.layers.length, 1);
      t.match(disk.layers[0]?.references.backing, { location: 'pipe', format: 'raw' });
      t.match(disk.missingBacking, { namedBy: path, reference: 'pipe' });
      await disk.read(new Uint8Array(512), data);
      const error = await failure(() => disk.read(new Uint8Array(512), UNALLOCATED[format]));
      t.equal(error.code, 'REFERENCE_DENIED');
      t.equal(error.location, path);
      t.equal(error.offset, UNALLOCATED[format]);
      t.match(error.message, /'pipe'/);
      t.match(error.hint, /references/);
      const kinds = new Set<string>();
      for await (const { kind } of disk.extents()) {
        kinds.add(kind);
      }
      t.ok(kinds.has('missing') && kinds.has('data'), [...kinds].join());
      if (writable) {
        // Writing part of a cluster would need the rest of it from the backing file.
        const partial = await failure(() =>
          disk.write(new Uint8Array(10), UNALLOCATED[format] + 3),
        );
        t.equal(partial.code, 'REFERENCE_DENIED');
        await disk.write(new Uint8Array(4096).fill(1), UNALLOCATED[format]);
        await disk.read(new Uint8Array(4096), UNALLOCATED[format]);
      }
      await disk.close();
    }
    const named = calls.flatMap((list) => list().map(({ args }) => JSON.stringify(args)));
    t.ok(named.length > 0, 'the recorder works');
    t.notOk(
      named.some((args) => args.includes('pipe')),
      'no storage was asked about it',
    );

    const error = await failure(() => lamella.open(path));
    t.equal(error.code, 'NOT_A_FILE', "'follow' does not hang");
    t.equal(error.location, pipe);
    await sleep(200);
    t.equal(writer.opened(), false, 'nobody opened the pipe');
    t.same(openFilesIn(directory), []);
    // The probe can fail: one short opening, and the writer is through.
    closeSync(openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK));
    t.equal(await eventually(writer.opened), true, 'the probe would have told');
  });
}

t.test('deny: names that could not even be parsed do no harm', async (t) => {
  const path = join(sandbox(t), 'top');
  for (const name of ['json:{', 'nbd:host:1', 'file://host/x', '/', '.', 'x'.repeat(300)]) {
    writeFileSync(path, withBacking(qcow2, name));
    await using disk = await lamella.open(path, { references: 'deny' });
    t.equal(disk.layers[0]?.references.backing?.location, name);
  }
});

t.test('within', async (t) => {
  const root = sandbox(t);
  const [allowed, other] = [join(root, 'dir'), join(root, 'dir-evil')];
  for (const folder of [allowed, other, join(allowed, 'sub')]) {
    mkdirSync(folder);
    writeFileSync(join(folder, 'base.raw'), new Uint8Array(1024).fill(7));
  }
  symlinkSync(join(other, 'base.raw'), join(allowed, 'link-out'));
  symlinkSync(other, join(allowed, 'folder-out'));
  symlinkSync('sub/base.raw', join(allowed, 'link-in'));
  symlinkSync(join(allowed, 'base.raw'), join(root, 'link-into-dir'));
  symlinkSync(allowed, join(root, 'other-name'));
  const top = join(allowed, 'top');
  const open = async (name: string, within: readonly string[]) => {
    writeFileSync(top, withBacking(qcow2, name, name.startsWith('json:') ? '' : 'raw'));
    const disk = await lamella.open(top, { references: { within } });
    await disk.close();
    return disk.layers.length;
  };
  const json = (filename: string) =>
    `json:${JSON.stringify({ driver: 'raw', file: { filename } })}`;

  for (const name of [
    'base.raw',
    './sub/../base.raw',
    'sub/base.raw',
    'link-in',
    '../dir/base.raw',
    '../dir-evil/../dir/base.raw',
    '../link-into-dir',
    join(allowed, 'base.raw'),
    `file:${join(allowed, 'base.raw')}`,
    `file://${join(allowed, 'sub/base.raw')}`,
    json('base.raw'),
  ]) {
    t.equal(await open(name, [allowed]), 2, `${name} is inside`);
  }
  t.equal(await open('base.raw', [`${allowed}/`]), 2, 'a slash at the end');
  t.equal(await open('base.raw', [join(root, 'other-name')]), 2, 'the folder itself by a link');
  t.equal(await open('../dir-evil/base.raw', [allowed, other]), 2, 'one of several');

  for (const name of [
    '../dir-evil/base.raw',
    join(other, 'base.raw'),
    '/etc/passwd',
    '../../../../../../../etc/passwd',
    'link-out',
    'folder-out/base.raw',
    'sub/../../dir-evil/base.raw',
    // What a program that shortens the text first would take for dir/base.raw.
    'folder-out/../base.raw/../../dir-evil/base.raw',
    `file:${join(other, 'base.raw')}`,
    `file://${join(other, 'base.raw')}`,
    `file://${root}/dir%2devil/base.raw`,
    json(join(other, 'base.raw')),
    json('../dir-evil/base.raw'),
    json('link-out'),
  ]) {
    const error = await failure(() => open(name, [allowed]));
    t.equal(error.code, 'REFERENCE_DENIED', `${name}: ${error.message}`);
    t.equal(error.location, top);
    t.ok(error.hint);
  }
  t.equal((await failure(() => open('base.raw', []))).code, 'REFERENCE_DENIED', 'nothing allowed');
  t.equal((await failure(() => open('absent', [allowed]))).code, 'NOT_FOUND');
  t.same(openFilesIn(root), []);
});

t.test('within holds for every layer, not for what the caller names', async (t) => {
  const root = sandbox(t);
  mkdirSync(join(root, 'dir'));
  writeFileSync(join(root, 'top'), withBacking(qcow2, 'dir/middle', 'qed'));
  writeFileSync(join(root, 'dir', 'middle'), qedWithBacking(qed, '../base', true));
  writeFileSync(join(root, 'base'), new Uint8Array(512));
  const within = [join(root, 'dir')];
  const error = await failure(() => lamella.open(join(root, 'top'), { references: { within } }));
  t.equal(error.code, 'REFERENCE_DENIED');
  t.equal(error.location, join(root, 'dir', 'middle'));
  await using disk = await lamella.open(join(root, 'top'), { references: { within: [root] } });
  t.equal(disk.layers.length, 3);
});

t.test('a function decides', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'top');
  writeFileSync(path, withBacking(qcow2, 'middle', 'qed'));
  writeFileSync(join(directory, 'middle'), qedWithBacking(qed, './base', true));
  writeFileSync(join(directory, 'base'), new Uint8Array(512));
  const asked: ReferenceRequest[] = [];
  const policy =
    (answer: (request: ReferenceRequest) => boolean) => (request: ReferenceRequest) => {
      asked.push(request);
      return Promise.resolve(answer(request));
    };
  await using disk = await lamella.open(path, { references: policy(() => true) });
  t.equal(disk.layers.length, 3);
  const middle = join(directory, 'middle');
  t.same(asked, [
    { kind: 'backing', reference: 'middle', location: middle, format: 'qed', namedBy: path },
    {
      kind: 'backing',
      reference: './base',
      location: `${directory}/./base`,
      format: 'raw',
      namedBy: middle,
    },
  ]);
  const refused = policy(({ reference }) => reference === 'middle');
  const error = await failure(() => lamella.open(path, { references: refused }));
  t.equal(error.code, 'REFERENCE_DENIED');
  t.equal(error.location, middle);
  t.match(error.message, /'\.\/base'/);
  const broken = () => {
    throw new Error('the policy is broken');
  };
  await t.rejects(lamella.open(path, { references: broken }), { message: /the policy is broken/ });
  writeFileSync(path, withBacking(qcow2, 'json:{"driver":"raw","file.filename":"base"}'));
  asked.length = 0;
  await using named = await lamella.open(path, { references: policy(() => true) });
  t.equal(named.layers[1]?.format, 'raw');
  t.match(asked, [{ reference: /^json:/, location: join(directory, 'base'), format: 'raw' }]);
  await disk.close();
  await named.close();
  t.same(openFilesIn(directory), [], 'what was open when the policy said no is closed');
});

t.test('skip leaves out what is missing, and nothing else', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'top');
  writeFileSync(path, withBacking(qcow2, 'absent', 'raw'));
  await using disk = await lamella.open(path, { references: 'skip' });
  t.equal(disk.layers.length, 1);
  t.match(disk.missingBacking, { namedBy: path, reference: 'absent' });
  await disk.read(new Uint8Array(512), 512);
  t.equal((await failure(() => disk.read(new Uint8Array(1), 32_768))).code, 'REFERENCE_DENIED');
  await using overlay = await lamella.overlay(disk);
  t.equal((await failure(() => overlay.read(new Uint8Array(1), 32_768))).code, 'REFERENCE_DENIED');
  writeFileSync(join(directory, 'absent'), new Uint8Array(98_304).fill(5));
  await using found = await lamella.open(path, { references: 'skip' });
  t.equal(found.layers.length, 2, 'what is there is opened');
  writeFileSync(path, withBacking(qcow2, '.', 'raw'));
  t.equal((await failure(() => lamella.open(path, { references: 'skip' }))).code, 'NOT_A_FILE');
});

t.test('a header that the guest wrote into a raw disk stays data', async (t) => {
  const directory = sandbox(t);
  const secret = join(directory, 'secret');
  writeFileSync(secret, 'top secret'.padEnd(512));
  const base = join(directory, 'base.raw');
  // CVE-2008-2004: the guest writes a qcow2 header that names a file of the host.
  writeFileSync(base, withBacking(edited(qcow2, be64(QCOW2.incompatible, 0n)), secret, 'raw'));
  for (const [name, image] of [
    ['qcow2', withBacking(edited(qcow2, be64(1536, 0n), be64(1544, 0n)), 'base.raw', 'raw')],
    ['qed', edited(qedWithBacking(qed, 'base.raw', true), le64(4096, 0n), le32(QED.tableSize, 2))],
  ] as const) {
    const path = join(directory, `top.${name}`);
    writeFileSync(path, image);
    await using disk = await lamella.open(path);
    t.same(
      disk.layers.map(({ format }) => format),
      [name, 'raw'],
    );
    const head = new Uint8Array(4);
    await disk.read(head, 0);
    t.same([...head], [0x51, 0x46, 0x49, 0xfb], 'the guest sees its own bytes');
  }
});
