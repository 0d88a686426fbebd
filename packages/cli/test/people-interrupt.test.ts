import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Lamella } from 'lamella';
import t, { type Test } from 'tap';
import { temporary } from './support/temporary.js';

const program = fileURLToPath(new URL('../../bin/lamella.cjs', import.meta.url));
const MIB = 1024 * 1024;

function start(directory: string, line: string): ChildProcess {
  return spawn(process.execPath, [program, ...line.split(' ')], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** Sends signals once something is so; gives how the process ended. */
async function interrupt(
  child: ChildProcess,
  ready: () => boolean,
  signals: readonly NodeJS.Signals[] = ['SIGINT'],
): Promise<{ readonly code: number | null; readonly stderr: string }> {
  let stderr = '';
  child.stderr?.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  let over = false;
  ended.then(() => {
    over = true;
  });
  while (!ready() && !over) {
    await sleep(5);
  }
  for (const [index, signal] of signals.entries()) {
    await sleep(index === 0 ? 50 : 600);
    child.kill(signal);
  }
  return { code: await ended, stderr };
}

/** A file that has grown to some size. */
function grown(path: string, bytes: number): () => boolean {
  return () => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) >= bytes;
}

async function fill(location: string, size: number): Promise<void> {
  // Nothing that can be compressed.
  writeFileSync(location, randomBytes(size));
}

/** Command lines that make files, and the file by which it is seen that they are at work. */
const MAKING: readonly (readonly [line: string, grows: string, made: readonly string[]])[] = [
  ['convert -r 8M -O qcow2 big.raw out.qcow2', 'out.qcow2', ['out.qcow2']],
  ['convert -r 8M -O raw big.raw out.raw', 'out.raw', ['out.raw']],
  ['convert -r 8M -c -O qcow2 big.raw out.qcow2', 'out.qcow2', ['out.qcow2']],
  [
    'convert -r 8M -O qcow2 -o data_file=data.raw big.raw out.qcow2',
    'data.raw',
    ['out.qcow2', 'data.raw'],
  ],
  ['create -f raw -o preallocation=full out.raw 64G', 'out.raw', ['out.raw']],
  ['create -f qcow2 -o preallocation=full out.qcow2 64G', 'out.qcow2', ['out.qcow2']],
];

t.test('Ctrl-C leaves no file that looks whole', async (t) => {
  const directory = temporary(t);
  await fill(join(directory, 'big.raw'), 64 * MIB);
  for (const [line, grows, made] of MAKING) {
    const { code, stderr } = await interrupt(
      start(directory, line),
      grown(join(directory, grows), MIB),
    );
    t.equal(code, 130, line);
    t.equal(stderr, 'Interrupted.\n', line);
    for (const name of made) {
      t.notOk(existsSync(join(directory, name)), `${line}: ${name}`);
    }
  }
});

t.test('SIGTERM does, too', async (t) => {
  const directory = temporary(t);
  await fill(join(directory, 'big.raw'), 64 * MIB);
  const child = start(directory, 'convert -r 8M -O raw big.raw out.raw');
  const { code } = await interrupt(child, grown(join(directory, 'out.raw'), MIB), ['SIGTERM']);
  t.equal(code, 143);
  t.notOk(existsSync(join(directory, 'out.raw')));
});

t.test('what was there before is left alone', async (t) => {
  const directory = temporary(t);
  await fill(join(directory, 'big.raw'), 64 * MIB);
  await fill(join(directory, 'out.raw'), 64 * MIB);
  const ready = changed(join(directory, 'out.raw'));
  const child = start(directory, 'convert -n -r 8M -O raw big.raw out.raw');
  const { code } = await interrupt(child, ready);
  t.equal(code, 130);
  t.equal(statSync(join(directory, 'out.raw')).size, 64 * MIB, 'with -n the target is not ours');
  t.equal(statSync(join(directory, 'big.raw')).size, 64 * MIB);
});

/** Whether somebody has written to a file since now. */
function changed(path: string): () => boolean {
  const before = statSync(path).mtimeMs;
  return () => statSync(path).mtimeMs !== before;
}

t.test('a program that does not end by itself is ended by the second Ctrl-C', async (t) => {
  const directory = temporary(t);
  await fill(join(directory, 'big.raw'), 8 * MIB);
  // Its pace has it sleep for long between two looks at the signal.
  const child = start(directory, 'convert -r 1k -O raw big.raw out.raw');
  const ready = grown(join(directory, 'out.raw'), MIB);
  const { code } = await interrupt(child, ready, ['SIGINT', 'SIGINT']);
  t.equal(code, 130);
  t.notOk(existsSync(join(directory, 'out.raw')));
});

async function makeChain(directory: string): Promise<Buffer> {
  const lamella = new Lamella();
  const at = (name: string): string => join(directory, name);
  await fill(at('base.raw'), 32 * MIB);
  await lamella.create(at('top.qcow2'), {
    format: 'qcow2',
    backing: { location: 'base.raw', format: 'raw' },
  });
  const disk = await lamella.open(at('top.qcow2'), { writable: true });
  await disk.write(Buffer.alloc(24 * MIB, 9), 4 * MIB);
  const content = Buffer.alloc(32 * MIB);
  await disk.read(content, 0);
  await disk.close();
  return content;
}

async function assertSame(
  t: Test,
  directory: string,
  content: Buffer,
  line: string,
): Promise<void> {
  const lamella = new Lamella();
  const location = join(directory, 'top.qcow2');
  const disk = await lamella.open(location);
  const now = Buffer.alloc(content.length);
  await disk.read(now, 0);
  const { corruptions } = await disk.check();
  await disk.close();
  t.ok(now.equals(content), `${line}: the disk reads as before`);
  t.equal(corruptions, 0, `${line}: the image is sound`);
}

t.test('images that are changed in place stay what they are', async (t) => {
  for (const [line, file] of [
    ['commit -r 8M top.qcow2', 'base.raw'],
    ['rebase -b  top.qcow2', 'top.qcow2'],
    ['resize --preallocation=full top.qcow2 32G', 'top.qcow2'],
  ] as const) {
    const directory = temporary(t);
    const content = await makeChain(directory);
    const path = join(directory, file);
    const ready = line.startsWith('resize') ? grown(path, 64 * MIB) : changed(path);
    const { code } = await interrupt(start(directory, line), ready);
    t.ok(code === 130 || code === 0, `${line}: ${code}`);
    await assertSame(t, directory, content, line);
  }
});

t.test('on a terminal, by the key', async (t) => {
  const directory = temporary(t);
  await fill(join(directory, 'big.raw'), 64 * MIB);
  const log = join(directory, 'log');
  // The key's signal goes to everybody on the terminal: a shell that waited here might end by it, too.
  const line = `exec '${process.execPath}' '${program}' convert -r 8M big.raw out.raw`;
  const script = spawn('script', ['-qec', line, log], {
    cwd: directory,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = new Promise<number | null>((resolve) => script.on('close', resolve));
  while (!grown(join(directory, 'out.raw'), MIB)()) {
    await sleep(10);
  }
  await sleep(400);
  script.stdin.write('\u0003');
  t.equal(await ended, 130, 'script gives the exit code of what it ran');
  const shown = readFileSync(log, 'utf8');
  t.match(shown, 'Interrupted.');
  t.match(shown, 'stopped after', 'the bar says so');
  t.ok(shown.lastIndexOf('\u001b[?25h') > shown.lastIndexOf('\u001b[?25l'), 'the cursor is back');
  t.notOk(existsSync(join(directory, 'out.raw')));
});
