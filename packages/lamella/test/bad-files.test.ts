import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, Lamella, type LamellaError } from 'lamella';
import t, { type Test } from 'tap';
import { explains } from './support/bad-image.js';
import { be64, edited, le64, QCOW2, QED, qedWithBacking, withBacking } from './support/edits.js';
import { golden, place } from './support/golden.js';
import { failure, openFilesIn, photograph, sandbox } from './support/sandbox.js';

const lamella = new Lamella();
const qcow2 = golden('v3.qcow2');
const qed = golden('plain.qed');

interface Expectation {
  /** File that the error names; the one that is opened by default. */
  readonly blames?: string;
  readonly maxDepth?: number;
  /** Formats to open with; found by content by default. */
  readonly formats?: readonly (string | undefined)[];
}

/** Opening must fail with this code, read-only and for writing; returns the last error. */
async function fails(
  t: Test,
  directory: string,
  path: string,
  code: ErrorCode,
  { blames = path, maxDepth, formats = [undefined] }: Expectation = {},
): Promise<LamellaError> {
  const before = photograph(directory);
  const errors: LamellaError[] = [];
  for (const format of formats) {
    for (const writable of [false, true]) {
      const error = await failure(() => lamella.open(path, { format, writable, maxDepth }));
      explains(t, error, blames, `${path} ${format ?? ''}${writable ? ' for writing' : ''}`, code);
      errors.unshift(error);
    }
  }
  t.same(photograph(directory), before, 'nothing is written');
  t.same(openFilesIn(directory), [], 'no file stays open');
  const [last] = errors;
  if (last === undefined) {
    throw new Error('nothing was tried');
  }
  return last;
}

t.test('things that are no files', async (t) => {
  const directory = sandbox(t);
  const formats = [undefined, 'raw', 'qcow2', 'qed'];
  mkdirSync(join(directory, 'folder'));
  await fails(t, directory, join(directory, 'folder'), 'NOT_A_FILE', { formats });
  symlinkSync('folder', join(directory, 'link-to-folder'));
  await fails(t, directory, join(directory, 'link-to-folder'), 'NOT_A_FILE', { formats });
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  await fails(t, directory, join(directory, 'pipe'), 'NOT_A_FILE', { formats });
  const socket = join(directory, 'socket');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    await fails(t, directory, socket, 'NOT_A_FILE', { formats });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  for (const device of ['/dev/zero', '/dev/null', '/dev/tty'].filter((path) => existsSync(path))) {
    await fails(t, directory, device, 'NOT_A_FILE', { formats });
  }
});

t.test('names that lead nowhere', async (t) => {
  const directory = sandbox(t);
  symlinkSync('gone', join(directory, 'dangling'));
  symlinkSync('circle', join(directory, 'circle'));
  writeFileSync(join(directory, 'file'), '');
  for (const name of ['absent', 'dangling', 'circle', 'file/below', 'no/such/folder']) {
    await fails(t, directory, join(directory, name), 'NOT_FOUND');
  }
  await fails(t, directory, join(directory, 'x'.repeat(300)), 'INVALID_ARGUMENT');
  t.equal((await failure(() => lamella.open(''))).code, 'INVALID_ARGUMENT');
  t.equal((await failure(() => lamella.open('nbd:localhost'))).code, 'UNKNOWN_SCHEME');
  const error = await failure(() => lamella.open(join(directory, 'file'), { format: 'vmdk' }));
  explains(t, error, join(directory, 'file'), 'unknown format', 'UNKNOWN_FORMAT');
});

t.test('as backing file, none of them hangs either', async (t) => {
  const directory = sandbox(t);
  mkdirSync(join(directory, 'folder'));
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  for (const name of ['folder', 'pipe', '/dev/zero']) {
    const top = join(directory, 'top');
    const blames = name.startsWith('/') ? name : join(directory, name);
    for (const image of [withBacking(qcow2, name, 'raw'), qedWithBacking(qed, name, true)]) {
      writeFileSync(top, image);
      await fails(t, directory, top, 'NOT_A_FILE', { blames });
    }
  }
});

t.test('a missing backing file', async (t) => {
  const directory = sandbox(t);
  const path = place(directory, 'top.qed', 'middle.qcow2');
  const middle = join(directory, 'middle.qcow2');
  const error = await fails(t, directory, path, 'NOT_FOUND', { blames: middle });
  t.match(error.message, /base\.raw/, 'which file');
  t.match(error.hint, /references: 'skip'/);
  t.same(error.chain, [path, middle], 'how we came there');
  await using disk = await lamella.open(path, { references: 'skip' });
  t.equal(disk.layers.length, 2);
  t.match(disk.missingBacking, { namedBy: middle, reference: 'base.raw' });
});

t.test('opening for writing touches nothing when the chain below fails', async (t) => {
  const directory = sandbox(t);
  const path = join(directory, 'top');
  const cases = {
    'qcow2 with unknown autoclear features': edited(
      withBacking(qcow2, 'absent', 'raw'),
      be64(QCOW2.autoclear, 2n ** 40n),
    ),
    'QED with unknown autoclear features': edited(
      qedWithBacking(qed, 'absent'),
      le64(QED.autoclear, 2n ** 40n),
    ),
    'QED that needs a check': edited(
      qedWithBacking(qed, 'absent'),
      le64(QED.features, 3n),
      // An entry that a repair would clear.
      le64(4096 + 8, 2n ** 40n),
    ),
  };
  for (const [name, image] of Object.entries(cases)) {
    unlinkIfThere(path);
    writeFileSync(path, image);
    t.comment(name);
    await fails(t, directory, path, 'NOT_FOUND');
  }
});

function unlinkIfThere(path: string): void {
  if (existsSync(path)) {
    unlinkSync(path);
  }
}

t.test('chains that loop', async (t) => {
  t.test('two images name each other', async (t) => {
    const directory = sandbox(t);
    const [a, b] = [join(directory, 'a'), join(directory, 'b')];
    writeFileSync(a, withBacking(qcow2, 'b', 'qed'));
    writeFileSync(b, qedWithBacking(qed, 'a'));
    const error = await fails(t, directory, a, 'CHAIN_LOOP', { blames: b });
    t.same(error.chain, [a, b, a], 'the chain so far');
    t.match(error.message, `${a} -> ${b} -> ${a}`);
    await fails(t, directory, b, 'CHAIN_LOOP', { blames: a });
  });

  t.test('an image that names itself, by whatever name', async (t) => {
    const directory = sandbox(t);
    const path = join(directory, 'self');
    symlinkSync('self', join(directory, 'symlink'));
    mkdirSync(join(directory, 'sub'));
    for (const name of ['self', './self', 'sub/../self', path, `file:${path}`, 'symlink', 'hard']) {
      for (const image of [withBacking(qcow2, name, 'qcow2'), qedWithBacking(qed, name)]) {
        unlinkIfThere(path);
        unlinkIfThere(join(directory, 'hard'));
        writeFileSync(path, image);
        linkSync(path, join(directory, 'hard'));
        await fails(t, directory, path, 'CHAIN_LOOP');
      }
    }
    writeFileSync(path, withBacking(qcow2, `json:{"driver":"qcow2","file.filename":"./self"}`));
    await fails(t, directory, path, 'CHAIN_LOOP');
  });

  t.test('further down', async (t) => {
    const directory = sandbox(t);
    for (const [name, next] of ['ab', 'bc', 'cd', 'db']) {
      writeFileSync(join(directory, name ?? ''), withBacking(qcow2, next ?? '', 'qcow2'));
    }
    const error = await fails(t, directory, join(directory, 'a'), 'CHAIN_LOOP', {
      blames: join(directory, 'd'),
    });
    t.equal(error.chain?.length, 5);
  });

  t.test('opened as raw, nothing loops', async (t) => {
    const directory = sandbox(t);
    writeFileSync(join(directory, 'a'), withBacking(qcow2, 'b', 'raw'));
    writeFileSync(join(directory, 'b'), withBacking(qcow2, 'a', 'qcow2'));
    await using disk = await lamella.open(join(directory, 'a'));
    t.equal(disk.layers.length, 2);
  });
});

t.test('a chain that is too deep', async (t) => {
  const directory = sandbox(t);
  const path = (n: number) => join(directory, `layer${n}`);
  for (let n = 0; n < 300; n += 1) {
    writeFileSync(path(n), n === 299 ? qcow2 : withBacking(qcow2, `layer${n + 1}`, 'qcow2'));
  }
  const error = await failure(() => lamella.open(path(0)));
  explains(t, error, path(255), '300 layers', 'CHAIN_TOO_DEEP');
  t.equal(error.chain?.length, 256);
  t.same(openFilesIn(directory), []);
  const three = await fails(t, directory, path(296), 'CHAIN_TOO_DEEP', {
    maxDepth: 3,
    blames: path(298),
  });
  t.equal(three.chain?.length, 3);
  await using four = await lamella.open(path(296), { maxDepth: 4 });
  t.equal(four.layers.length, 4);
  await using alone = await lamella.open(path(0), { maxDepth: 1, references: 'deny' });
  t.equal(alone.layers.length, 1, 'what is not followed is not too deep');
});

t.test('a file without permission', { skip: process.platform === 'win32' }, async (t) => {
  const directory = sandbox(t);
  const child = fileURLToPath(new URL('./support/unprivileged-child.js', import.meta.url));
  const asNobody = (path: string, mode: 'ro' | 'rw'): unknown => {
    const ids = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
    return JSON.parse(
      execFileSync(process.execPath, [child, path, mode], { ...ids, encoding: 'utf8' }),
    );
  };
  const denied = (path: string) => ({
    code: 'PERMISSION_DENIED',
    location: path,
    hint: /permission/i,
  });
  const path = place(directory, 'plain.qed');
  chmodSync(directory, 0o755);
  chmodSync(path, 0o444);
  t.same(asNobody(path, 'ro'), { opened: true });
  t.match(asNobody(path, 'rw'), denied(path), 'readable, not writable');
  chmodSync(path, 0o000);
  t.match(asNobody(path, 'ro'), denied(path));
  chmodSync(path, 0o644);
  const top = join(directory, 'top');
  writeFileSync(top, qedWithBacking(qed, 'secret', true));
  writeFileSync(join(directory, 'secret'), 'x'.repeat(512), { mode: 0o600 });
  chmodSync(join(directory, 'secret'), 0o000);
  t.match(asNobody(top, 'ro'), denied(join(directory, 'secret')), 'a backing file');
  chmodSync(directory, 0o600);
  t.match(asNobody(path, 'ro'), denied(path), 'a folder that may not be entered');
  chmodSync(directory, 0o700);
});
