import { spawn } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { isLamellaError } from '@lamella/core';
import { FileStorageDriver, NATIVE_CALLS } from '@lamella/platform-node';
import { paths, plainNode, run } from '@lamella/test-support';
import { type ChainOptions, type Disk, Lamella } from 'lamella';
import t from 'tap';
import { attempt, holdWithQemuIo, holdWithQemuNbd, lockedBytes } from './qemu-process.js';
import { needsQemu } from './support/qemu.js';

const SIZE = '4M';
const lamella = new Lamella();
// Not asked of the helper itself: where it should be there and is not, these tests have to fail.
const noHelper = process.platform !== 'linux' || process.env.LAMELLA_NATIVE === 'off';
const skip = needsQemu.skip ?? (noHelper ? 'no native helper: files are not locked' : false);

/** The code and message that opening fails with; undefined if it works. */
async function refusal(location: string, options: ChainOptions): Promise<string | undefined> {
  try {
    await (await lamella.open(location, options)).close();
    return undefined;
  } catch (error) {
    return isLamellaError(error) ? `${error.code} ${error.message}` : `unexpected ${error}`;
  }
}

t.test('the same bytes as QEMU, in every role', { skip }, async (t) => {
  const at = paths(t);
  run('qemu-img', 'create', '-q', '-f', 'raw', at('raw'), SIZE);
  run('qemu-img', 'create', '-q', '-f', 'qcow2', at('qcow2'), SIZE);
  run('qemu-img', 'create', '-q', '-f', 'qed', at('qed'), SIZE);
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', at('raw'), '-F', 'raw', at('on-raw'));
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', at('qcow2'), '-F', 'qcow2', at('on-qcow2'));
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', at('qed'), '-F', 'qed', at('on-qed'));
  const images = [
    ['raw', 'raw', undefined],
    ['qcow2', 'qcow2', undefined],
    ['qed', 'qed', undefined],
    ['on-raw', 'qcow2', 'raw'],
    ['on-qcow2', 'qcow2', 'qcow2'],
    ['on-qed', 'qcow2', 'qed'],
  ] as const;
  for (const [name, format, backing] of images) {
    for (const writable of [true, false]) {
      const what = `${name} ${writable ? 'for writing' : 'for reading'}`;
      const theirs = await holdWithQemuIo(t, ...(writable ? [] : ['-r']), '-f', format, at(name));
      const expected = [at(name), ...(backing === undefined ? [] : [at(backing)])].map(lockedBytes);
      await theirs.end();
      t.ok(
        expected.every((bytes) => bytes.length > 0),
        `${what}: QEMU locks`,
      );
      const disk = await lamella.open(at(name), { format, writable });
      const own = disk.layers.map((layer) => lockedBytes(layer.location));
      t.strictSame(own, expected, what);
      await disk.close();
      t.strictSame(lockedBytes(at(name)), [], `${what}: gone when closed`);
    }
  }
  const theirs = await holdWithQemuIo(t, '-r', '-U', '-f', 'qcow2', at('qcow2'));
  const expected = lockedBytes(at('qcow2'));
  await theirs.end();
  const disk = await lamella.open(at('qcow2'), { forceShare: true });
  t.strictSame(lockedBytes(at('qcow2')), expected, 'forced');
  await disk.close();
});

for (const format of ['qcow2', 'qed']) {
  t.test(`${format}: QEMU first`, { skip }, async (t) => {
    const at = paths(t);
    const image = at('image');
    run('qemu-img', 'create', '-q', '-f', format, image, SIZE);
    const before = readFileSync(image);
    for (const tool of ['qemu-io', 'qemu-nbd']) {
      const hold = (...args: string[]) =>
        tool === 'qemu-io'
          ? holdWithQemuIo(t, ...args, '-f', format, image)
          : holdWithQemuNbd(t, at(`socket${args.length}`), ...args, '-f', format, image);
      const writer = await hold();
      t.match(
        await refusal(image, { writable: true }),
        /^LOCKED .*image: .*another process .* does not allow writing \(no 'write' lock\).*forceShare/,
        `${tool} writes, we may not`,
      );
      t.match(
        await refusal(image, {}),
        /^LOCKED .*is using it for writing \(no shared 'write' lock\)/,
        `${tool} writes, we may not even read`,
      );
      t.equal(await refusal(image, { forceShare: true }), undefined, 'but if we insist');
      t.match(
        await refusal(image, { forceShare: true, writable: true }),
        /^INVALID_ARGUMENT/,
        'which is for reading only',
      );
      await writer.end();
      t.equal(await refusal(image, { writable: true }), undefined, `${tool} has ended`);

      const reader = await hold('-r');
      t.equal(await refusal(image, {}), undefined, `${tool} reads, so may we`);
      t.match(await refusal(image, { writable: true }), /^LOCKED/, 'but not write');
      const made = lamella.create(image, { format, size: 1 << 20, overwrite: true });
      await t.rejects(made, { code: 'LOCKED' }, 'nor make it anew');
      t.equal(readFileSync(image).length >= before.length, true, 'nothing was emptied');
      await reader.end();
    }
    const killed = await holdWithQemuIo(t, '-f', format, image);
    await killed.end('SIGKILL');
    t.equal(await refusal(image, { writable: true }), undefined, 'a dead process holds nothing');
    t.match(attempt('qemu-img', 'check', '-f', format, image), { status: 0 });
  });

  t.test(`${format}: Lamella first`, { skip }, async (t) => {
    const at = paths(t);
    const image = at('image');
    run('qemu-img', 'create', '-q', '-f', format, image, SIZE);
    const io = (...args: string[]) =>
      attempt('qemu-io', ...args, '-f', format, '-c', 'read 0 512', image);

    const writer = await lamella.open(image, { writable: true });
    t.match(io(), { status: 1, said: /Failed to get "write" lock/ });
    t.match(io('-r'), { status: 1, said: /Failed to get shared "write" lock/ });
    t.match(io('-r', '-U'), { status: 0 });
    t.match(attempt('qemu-nbd', '-k', at('socket'), '-f', format, image), {
      status: 1,
      said: /lock/,
    });
    t.match(attempt('qemu-img', 'create', '-f', format, image, SIZE), { status: 1, said: /lock/ });
    t.match(await refusal(image, {}), /^LOCKED/, 'another disk of ours');
    t.match(await refusal(image, { writable: true }), /^LOCKED/);
    await writer.close();
    t.match(io(), { status: 0 }, 'closed');

    const reader = await lamella.open(image);
    t.match(io('-r'), { status: 0 }, 'readers get on with readers');
    t.equal(await refusal(image, {}), undefined);
    t.match(io(), { status: 1, said: /Failed to get "write" lock/ });
    await reader.close();

    const forced = await lamella.open(image, { forceShare: true });
    t.match(io(), { status: 0 }, 'who forced sharing is in nobody’s way');
    await forced.close();
  });
}

t.test('raw is shared as QEMU shares it', { skip }, async (t) => {
  const at = paths(t);
  const image = at('image');
  writeFileSync(image, '');
  truncateSync(image, 4 << 20);
  const raw = { format: 'raw' } as const;
  const io = () => attempt('qemu-io', '-f', 'raw', '-c', 'write 0 512', image);

  const disk = await lamella.open(image, { ...raw, writable: true });
  t.match(io(), { status: 0 }, 'both write');
  t.equal(await refusal(image, { ...raw, writable: true }), undefined);
  t.match(attempt('qemu-img', 'resize', '-f', 'raw', image, '5M'), { status: 0 });

  const nbd = await holdWithQemuNbd(t, at('socket'), '-r', '-f', 'raw', image);
  t.equal(await refusal(image, { ...raw, writable: true }), undefined);
  await t.rejects(disk.resize(8 << 20), { code: 'LOCKED', problem: /'resize'/ });
  const made = lamella.create(image, { format: 'raw', size: 1, overwrite: true });
  await t.rejects(made, { code: 'LOCKED', problem: /'resize'/ }, 'qemu-nbd holds on to the length');
  await nbd.end();
  await disk.resize(8 << 20);
  t.strictSame(lockedBytes(image), [100, 101], 'the resize lock is given back');

  const other = lamella.create(image, { format: 'qed', size: 1 << 20, overwrite: true });
  await t.rejects(other, { code: 'LOCKED' }, 'an image with metadata shares with no writer');
  t.equal(readFileSync(image).length, 8 << 20);
  await disk.close();
});

t.test('a device of a virtual machine that does not share', { skip }, async (t) => {
  // What a running VM with a raw disk holds; there is no VM here, so another process takes the bytes.
  const at = paths(t);
  const image = at('image');
  writeFileSync(image, new Uint8Array(1 << 20));
  const script = `
    const { FileStorageDriver } = await import(${JSON.stringify(import.meta.resolve('@lamella/platform-node'))});
    const storage = await new FileStorageDriver().open(process.argv[1], { writable: true });
    await storage.lock({ uses: ['consistent-read', 'write'], shares: ['consistent-read', 'write-unchanged'] });
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(...plainNode('--input-type=module', '-e', script, image), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  t.strictSame(lockedBytes(image), [100, 101, 201, 203]);
  t.match(
    await refusal(image, { format: 'raw', writable: true }),
    /^LOCKED .*does not allow writing/,
  );
  t.equal(
    await refusal(image, { format: 'raw' }),
    undefined,
    'reading along is what QEMU allows, too',
  );
  t.match(attempt('qemu-io', '-f', 'raw', '-c', 'read 0 512', image), {
    status: 1,
    said: /"write" lock/,
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  t.equal(await refusal(image, { format: 'raw', writable: true }), undefined, 'locks die with it');
});

t.test('chains', { skip }, async (t) => {
  const at = paths(t);
  run('qemu-img', 'create', '-q', '-f', 'qcow2', at('base'), SIZE);
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', at('top'));
  const disk = await lamella.open(at('top'), { writable: true });
  t.match(await refusal(at('base'), { writable: true }), /^LOCKED/, 'a base in use is not written');
  t.equal(await refusal(at('base'), {}), undefined);
  const second = attempt('qemu-io', '-f', 'qcow2', '-c', 'write 0 512', at('base'));
  t.match(second, { status: 1, said: /Failed to get "write" lock/ });
  await disk.close();

  const writer: Disk = await lamella.open(at('base'), { writable: true });
  t.match(await refusal(at('top'), {}), /^LOCKED .*base/, 'nor is one read that is being written');
  t.equal(await refusal(at('top'), { forceShare: true }), undefined, 'unless forced');
  await writer.close();

  run('qemu-img', 'rebase', '-u', '-b', 'top', '-F', 'qcow2', at('base'));
  t.match(
    await refusal(at('top'), { writable: true }),
    /^CHAIN_LOOP/,
    'a circle is a circle, not a lock',
  );
  const twice = lamella.compose([{ location: at('top') }, { location: at('top') }], {
    writable: true,
  });
  await t.rejects(twice, { code: 'CHAIN_LOOP' });
});

t.test('what changed before the lock is seen', { skip }, async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), 'x');
  const storage = await new FileStorageDriver().open(at('file'), { writable: false });
  truncateSync(at('file'), 5000);
  t.equal(storage.size, 1);
  await storage.lock?.({ uses: ['consistent-read'], shares: [] });
  t.equal(storage.size, 5000);
  await storage.close();
});

t.test('where files can’t be locked, a warning is given once', async (t) => {
  const at = paths(t);
  writeFileSync(at('file'), new Uint8Array(1024));
  const warnings: string[] = [];
  const loose = new Lamella({ logger: { warn: (text) => warnings.push(text) } });
  loose.container.register(NATIVE_CALLS, { useValue: {} });
  for (let i = 0; i < 3; i += 1) {
    await (await loose.open(at('file'), { format: 'raw', writable: true })).close();
  }
  t.equal(warnings.length, 1);
  t.match(warnings[0], /can be locked with koffi/);
  const quirky = new Lamella({ logger: { warn: (text) => warnings.push(text) } });
  const ENOLCK = -37;
  quirky.container.register(NATIVE_CALLS, {
    useValue: { locks: { share: () => ENOLCK, release: () => 0, test: () => 0 } },
  });
  await (await quirky.open(at('file'), { format: 'raw' })).close();
  await (await quirky.open(at('file'), { format: 'raw' })).close();
  t.equal(warnings.length, 2);
  t.match(warnings[1], /the file system has no locks/);
});
