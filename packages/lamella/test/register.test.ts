import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCK_DRIVER, Lamella } from 'lamella';
import t from 'tap';
import { container as globalContainer } from 'tsyringe';
import { withBacking } from './support/edits.js';
import { golden, place, readAll } from './support/golden.js';
import { failure, sandbox } from './support/sandbox.js';
import { OtherToyDriver, ThrowingDriver, ToyDriver, toyFile } from './support/toy-driver.js';

const content = new TextEncoder().encode(
  'a disk of a format that Lamella has never heard of'.padEnd(1024, '.'),
);

function toy(directory: string): string {
  const path = join(directory, 'disk.toy');
  writeFileSync(path, toyFile(content));
  return path;
}

t.test('a third-party driver opens by probe and by name', async (t) => {
  const path = toy(sandbox(t));
  const plain = new Lamella();
  t.same(plain.formats, ['qcow2', 'qed', 'raw']);
  t.equal((await failure(() => plain.open(path, { format: 'toy' }))).code, 'UNKNOWN_FORMAT');

  const lamella = new Lamella();
  t.equal(lamella.register(ToyDriver), lamella, 'can be chained');
  t.same(lamella.formats, ['qcow2', 'qed', 'raw', 'toy']);
  for (const options of [{}, { format: 'toy' }]) {
    await using disk = await lamella.open(path, options);
    t.equal(disk.format, 'toy');
    t.same(disk.layers[0]?.options, { flavour: 'plain' });
    t.ok(Buffer.from(content).equals(await readAll(disk)));
  }
  t.same(plain.formats, ['qcow2', 'qed', 'raw'], 'another Lamella does not see it');
});

t.test('a read-only driver: no writing, no creating, and it says so', async (t) => {
  const path = toy(sandbox(t));
  const lamella = new Lamella().register(ToyDriver);
  await using disk = await lamella.open(path, { writable: true });
  t.equal(disk.isWritable, false);
  t.equal(disk.layers[0]?.writable, false, 'and its layer agrees');
  for (const attempt of [() => disk.write(new Uint8Array(1), 0), () => disk.writeZeroes(0, 1)]) {
    const { code } = await failure(attempt);
    t.ok(code === 'READ_ONLY' || code === 'UNSUPPORTED', code);
  }
  t.equal((await failure(() => disk.resize(512))).code, 'READ_ONLY');
  const error = await failure(() => lamella.create(`${path}2`, { format: 'toy', size: 512 }));
  t.equal(error.code, 'UNSUPPORTED');
  await using overlay = await lamella.overlay(disk);
  await overlay.write(new Uint8Array(3).fill(0x41), 0);
  t.equal(Buffer.from(await readAll(overlay)).toString('latin1', 0, 6), 'AAAisk');
});

t.test('a third-party image below a qcow2 image', async (t) => {
  const directory = sandbox(t);
  toy(directory);
  const lamella = new Lamella().register(ToyDriver);
  const path = join(directory, 'over.qcow2');
  await lamella.create(path, { format: 'qcow2', backing: 'disk.toy' });
  await using disk = await lamella.open(path);
  t.same(
    disk.layers.map(({ format }) => format),
    ['qcow2', 'toy'],
  );
  t.equal(disk.layers[0]?.references.backing?.format, 'toy');
  t.ok(Buffer.from(content).equals(await readAll(disk)));
  t.equal((await failure(() => new Lamella().open(path))).code, 'UNKNOWN_FORMAT');
});

t.test('a format can be had once', async (t) => {
  const path = toy(sandbox(t));
  const lamella = new Lamella().register(ToyDriver);
  t.throws(() => lamella.register(ToyDriver), { code: 'DUPLICATE_DRIVER', name: 'LamellaError' });
  class MyRaw extends ToyDriver {
    override readonly format = 'raw';
  }
  t.throws(() => lamella.register(MyRaw), { code: 'DUPLICATE_DRIVER' });
  t.same(lamella.formats, ['qcow2', 'qed', 'raw', 'toy'], 'and stays usable');
  await using disk = await lamella.open(path);
  t.equal(disk.format, 'toy');

  const direct = new Lamella();
  direct.container.register(BLOCK_DRIVER, { useClass: ToyDriver });
  direct.container.register(BLOCK_DRIVER, { useClass: ToyDriver });
  t.equal((await failure(() => direct.open(path))).code, 'DUPLICATE_DRIVER');
});

t.test('container.register on the Lamella and on a parent container', async (t) => {
  const path = toy(sandbox(t));
  const own = new Lamella();
  own.container.register(BLOCK_DRIVER, { useClass: ToyDriver });
  await using first = await own.open(path);
  t.equal(first.format, 'toy');

  const parent = globalContainer.createChildContainer();
  parent.register(BLOCK_DRIVER, { useClass: ToyDriver });
  const child = new Lamella({ container: parent });
  t.same(child.formats, ['qcow2', 'qed', 'raw', 'toy']);
  await using second = await child.open(path);
  t.equal(second.format, 'toy');
  child.register(OtherToyDriver);
  t.same(child.formats, ['other-toy', 'qcow2', 'qed', 'raw', 'toy'], 'both lists count');
  t.same(new Lamella({ container: parent }).formats, ['qcow2', 'qed', 'raw', 'toy']);
  t.same(new Lamella().formats, ['qcow2', 'qed', 'raw'], 'the global container is clean');
});

t.test('two with different drivers side by side', async (t) => {
  const path = toy(sandbox(t));
  const one = new Lamella().register(ToyDriver);
  const two = new Lamella().register(OtherToyDriver);
  await using first = await one.open(path);
  await using second = await two.open(path);
  t.same([first.format, second.format], ['toy', 'other-toy']);
  t.ok(Buffer.from(await readAll(first)).equals(await readAll(second)));
  await using third = await new Lamella().open(path);
  t.equal(third.format, 'raw', 'who knows no better takes it as it is');
});

t.test('a driver whose probe throws is passed over with a warning', async (t) => {
  const directory = sandbox(t);
  const warnings: string[] = [];
  const lamella = new Lamella({ logger: { warn: (message) => warnings.push(message) } });
  lamella.register(ThrowingDriver);
  const path = place(directory, 'plain.qed');
  await using disk = await lamella.open(path);
  t.equal(disk.format, 'qed');
  t.equal(warnings.length, 1);
  t.match(warnings[0], /plain\.qed.*'throwing'.*the probe is broken/);
  await using named = await lamella.open(path, { format: 'qed' });
  t.equal(named.format, 'qed');
  t.equal(warnings.length, 1, 'nobody is probed when the format is given');
});

t.test('a backing format that the header does not give is probed, with a warning', async (t) => {
  const directory = sandbox(t);
  const warnings: string[] = [];
  const lamella = new Lamella({ logger: { warn: (message) => warnings.push(message) } });
  const path = place(directory, 'top.qed', 'middle.qcow2', 'base.raw');
  await using chain = await lamella.open(path);
  t.equal(chain.layers.length, 3);
  t.equal(warnings.length, 1, 'for top.qed; middle.qcow2 gives its format');
  t.match(warnings[0], /top\.qed.*'middle\.qcow2'.*qcow2/);

  const over = join(directory, 'over.qcow2');
  writeFileSync(over, withBacking(golden('v3.qcow2'), 'base.raw'));
  await using unsaid = await lamella.open(over);
  t.equal(unsaid.layers[1]?.format, 'raw');
  t.equal(warnings.length, 2);
  writeFileSync(over, withBacking(golden('v3.qcow2'), 'base.raw', 'raw'));
  await using said = await lamella.open(over);
  t.equal(said.layers[1]?.format, 'raw');
  t.equal(warnings.length, 2, 'nothing to warn of');
});
