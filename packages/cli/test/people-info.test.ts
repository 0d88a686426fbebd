import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Lamella } from 'lamella';
import t from 'tap';
import { readableSize } from '#internal/people/terminal/sizes.js';
import { runPeople } from './support/people.js';
import { runOurs } from './support/programs.js';
import { wordsOf } from './support/words.js';

/** base.raw < middle.qcow2 (a snapshot, a bitmap) < top.qed */
async function makeChain(directory: string): Promise<void> {
  for (const line of [
    'create -q -f raw base.raw 64M',
    'create -q -f qcow2 -b base.raw -F raw middle.qcow2',
    'snapshot -c before middle.qcow2',
    'bitmap --add -g 64k middle.qcow2 backup',
    'create -q -f qed -b middle.qcow2 -F qcow2 top.qed',
  ]) {
    const { code, stderr } = await runOurs(directory, wordsOf(line));
    t.equal(code, 0, `${line} ${stderr}`);
  }
}

t.test('one image, a fact on a line', async (t) => {
  const directory = t.testdir();
  await makeChain(directory);
  const { stdout, stderr, code } = await runPeople(directory, ['info', 'middle.qcow2']);
  t.same({ stderr, code }, { stderr: '', code: 0 });
  t.match(stdout, /^middle\.qcow2\n/);
  t.match(stdout, /^ {2}format +qcow2$/m);
  t.match(stdout, /^ {2}virtual size +64 MiB \(67\u202f108\u202f864 B\)$/m);
  t.match(stdout, /^ {2}cluster size +64 KiB$/m);
  t.match(stdout, /^ {2}backing file +base\.raw \(raw\)$/m);
  t.match(stdout, /^ {2}snapshots\n {4}1 {2}before {2}\d{4}-\d\d-\d\d \d\d:\d\d UTC {2}64 MiB$/m);
  t.match(stdout, /^ {2}bitmaps\n {4}backup {2}64 KiB a bit, recording$/m);
  t.match(stdout, /^ {2}qcow2 details\n {4}compat: 1\.1$/m);
});

t.test('JSON is what lamella-img prints', async (t) => {
  const directory = t.testdir();
  await makeChain(directory);
  for (const line of [
    'info --output json middle.qcow2',
    'info --output=json --backing-chain top.qed',
  ]) {
    t.same(
      await runPeople(directory, wordsOf(line)),
      await runOurs(directory, wordsOf(line)),
      line,
    );
  }
  const tree = await runPeople(directory, wordsOf('info --chain --output json top.qed'));
  const list = await runOurs(directory, wordsOf('info --backing-chain --output json top.qed'));
  t.same(tree, list, '--chain gives all layers');
});

t.test('the chain as a tree', async (t) => {
  const directory = t.testdir();
  await makeChain(directory);
  const { stdout, code } = await runPeople(directory, ['info', '--chain', 'top.qed']);
  t.equal(code, 0);
  const lines = stdout
    .replace(/ \d+Z?:\d\d UTC/, '')
    .replace(/[\d.]+ [KMG]?i?B on disk/g, 'N on disk')
    .split('\n');
  t.match(lines, [
    '0 top.qed  qed · 64 MiB virtual · N on disk',
    '└─ 1 middle.qcow2  qcow2 · 64 MiB virtual · N on disk',
    /^ {3}├╴ snapshot {2}1 {2}before {2}\d{4}-\d\d-\d\d/,
    '   ├╴ bitmap    backup  64 KiB a bit, recording',
    '   └─ 2 base.raw  raw · 64 MiB virtual · N on disk',
    '',
    /^3 layers, N on disk in all$/,
    '',
  ]);
});

t.test('a missing layer is shown, not a crash', async (t) => {
  const directory = t.testdir();
  await makeChain(directory);
  unlinkSync(join(directory, 'base.raw'));
  const { stdout, stderr, code } = await runPeople(directory, ['info', '--chain', 'top.qed']);
  t.same({ stderr, code }, { stderr: '', code: 0 });
  t.match(stdout, /^ {3}└─ ✗ base\.raw {2}raw {2}missing\n {6}╰╴ No such file or directory$/m);
  t.match(stdout, /^2 layers, .* on disk in all, and a file that can't be opened$/m);
  const top = await runPeople(directory, ['info', '--chain', 'base.raw']);
  t.match(
    top,
    { code: 1, stdout: '', stderr: /No such file or directory/ },
    'the image itself has to be there',
  );
});

t.test('images that name each other in a circle', async (t) => {
  const directory = t.testdir();
  for (const line of [
    'create -q -u -f qcow2 -b b.qcow2 -F qcow2 a.qcow2 1M',
    'create -q -u -f qcow2 -b a.qcow2 -F qcow2 b.qcow2 1M',
  ]) {
    await runOurs(directory, wordsOf(line));
  }
  const { stdout, code } = await runPeople(directory, ['info', '--chain', 'a.qcow2']);
  t.equal(code, 0);
  t.match(stdout, /✗ a\.qcow2 {2}qcow2 {2}can't be opened\n.*in a circle/);
});

t.test('a data file, there and missing', async (t) => {
  const directory = t.testdir();
  const created = await runOurs(
    directory,
    wordsOf('create -q -f qcow2 -o data_file=d.raw a.qcow2 1M'),
  );
  t.equal(created.code, 0);
  t.match((await runPeople(directory, ['info', 'a.qcow2'])).stdout, /^ {2}data file +d\.raw$/m);
  unlinkSync(join(directory, 'd.raw'));
  t.match(
    (await runPeople(directory, ['info', 'a.qcow2'])).stdout,
    /^ {2}data file +d\.raw missing$/m,
  );
  t.match(
    (await runPeople(directory, ['info', '--chain', 'a.qcow2'])).stdout,
    /data file d\.raw · missing/,
  );
});

t.test('an encrypted image tells all but its data', async (t) => {
  const directory = t.testdir();
  const lamella = new Lamella();
  await lamella.create(join(directory, 'e.qcow2'), {
    format: 'qcow2',
    size: 2 ** 20,
    passphrase: 'abc',
    options: { 'encrypt.format': 'luks', 'encrypt.iter-time': 10 },
  });
  t.match((await runPeople(directory, ['info', 'e.qcow2'])).stdout, /^ {2}encrypted +yes$/m);
});

t.test('sizes read well', async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '0.98 KiB'],
    [1536, '1.5 KiB'],
    [10 * 1024 + 512, '10.5 KiB'],
    [999 * 1024, '999 KiB'],
    [2 ** 30, '1 GiB'],
    [2 ** 40 - 1, '1 TiB'],
    [2 ** 53, '8 PiB'],
  ];
  for (const [bytes, expected] of cases) {
    t.equal(readableSize(bytes), expected, String(bytes));
  }
});
