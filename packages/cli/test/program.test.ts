import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outcome, plainNode } from '@lamella/test-support';
import t from 'tap';

const packageDirectory = fileURLToPath(new URL('../../', import.meta.url));
const program = join(packageDirectory, 'bin', 'lamella-img.cjs');
const directory = t.testdir();

function run(words: readonly string[], options: { cwd?: string; name?: string } = {}) {
  const start = plainNode(options.name ?? program, ...words);
  return outcome(...start, { cwd: options.cwd ?? directory });
}

t.test('runs as a program, from its bundle and from its modules alike', async (t) => {
  t.same(run(['create', '-q', '-f', 'qcow2', 'a.qcow2', '1M']), {
    stdout: '',
    stderr: '',
    status: 0,
  });
  const bundled = run(['info', 'a.qcow2']);
  t.match(bundled.stdout, /^image: a\.qcow2\nfile format: qcow2\nvirtual size: 1 MiB/);
  const modules = join(t.testdirName, 'modules.mjs');
  mkdirSync(t.testdirName, { recursive: true });
  const main = new URL('../../dist/img/index.js', import.meta.url).href;
  writeFileSync(modules, `import { run } from '${main}'; await run(process.argv, []);`);
  t.same(run(['info', 'a.qcow2'], { name: modules }), bundled);
  t.equal(run(['info', 'a.qcow2', '--output', 'xml']).status, 1);
});

t.test('snapshot without an option lists, as current documentation has it', async (t) => {
  run(['create', '-q', '-f', 'qcow2', 's.qcow2', '1M']);
  run(['snapshot', '-c', 'one', 's.qcow2']);
  const { stdout } = run(['snapshot', 's.qcow2']);
  t.match(
    stdout,
    /^Snapshot list:\nID {6}TAG {15}VM_SIZE {16}DATE {8}VM_CLOCK {5}ICOUNT\n1 {7}one {19}0 B \d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}0000:00:00\.000 {10}0\n$/,
  );
});

t.test('messages begin with the name of the link', async (t) => {
  symlinkSync(program, join(directory, 'my-qemu-img'));
  const { stderr } = run(['info', 'nowhere'], { name: join(directory, 'my-qemu-img') });
  t.equal(
    stderr,
    "my-qemu-img: Could not open 'nowhere': Could not open 'nowhere': No such file or directory\n",
  );
});

t.test('a shell script for qemu-img runs unchanged, with the same output', async (t) => {
  if (spawnSync('qemu-img', ['--version']).status !== 0) {
    if (process.env.LAMELLA_REQUIRE_QEMU === '1') {
      t.fail('qemu-img is not installed');
    }
    return;
  }
  const links = join(directory, 'links');
  mkdirSync(links);
  symlinkSync(program, join(links, 'qemu-img'));
  const script = resolve(packageDirectory, 'test', 'support', 'script.sh');
  const outputs = [links, ''].map((first) => {
    const place = join(directory, `script${first.length}`);
    mkdirSync(place);
    const path = [first, process.env.PATH ?? ''].filter((part) => part !== '').join(delimiter);
    return execFileSync('sh', [script], {
      cwd: place,
      encoding: 'utf8',
      env: { ...process.env, PATH: path },
    });
  });
  const [ours, theirs] = outputs.map((text) => text.replace(/^Image end offset: .*\n/m, ''));
  t.equal(ours, theirs);
});

const DRIVER = `
import { RawDriver } from '@lamella/driver-raw';
export class CardDriver {
  format = 'card';
  createOptions = {};
  #raw = new RawDriver();
  probe(head) { return head.length > 3 && head[0] === 67 ? 50 : 0; }
  open(storage, options) { return this.#raw.open(storage, { ...options, recognise: undefined }); }
}
`;

t.test('drivers of third parties: by option, and by the project', async (t) => {
  // Inside this repository, so that the driver finds the library.
  const project = join(packageDirectory, 'build', 'driver-project');
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'card.mjs'), DRIVER);
  writeFileSync(join(project, 'card.img'), `C${'x'.repeat(1023)}`);
  writeFileSync(join(project, 'package.json'), '{ "name": "plain" }');
  const plain = run(['info', 'card.img'], { cwd: project });
  t.match(plain.stdout, /file format: raw/);
  const asked = run(['--driver', './card.mjs', 'info', 'card.img'], { cwd: project });
  t.match(asked.stdout, /file format: card/);
  writeFileSync(
    join(project, 'package.json'),
    '{ "name": "wants", "lamella": { "drivers": ["./card.mjs"] } }',
  );
  t.match(run(['info', 'card.img'], { cwd: project }).stdout, /file format: card/);
  t.match(run(['--driver', './none.mjs', 'info', 'card.img'], { cwd: project }), { status: 1 });
});

t.test('Ctrl-C leaves no half-written target', async (t) => {
  const source = join(directory, 'large.raw');
  run(['create', '-q', '-o', 'preallocation=full', source, '64M']);
  const target = join(directory, 'half.qcow2');
  const words = ['convert', '-S', '0', '-r', '8M', '-O', 'qcow2', source, target];
  const [env, args] = plainNode(program, ...words);
  const { status } = outcome('timeout', ['-s', 'INT', '1.5', env, ...args]);
  t.equal(status, 124, 'it was still at work');
  t.notOk(existsSync(target));
});
