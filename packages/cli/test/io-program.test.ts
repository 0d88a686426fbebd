import { spawnSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { paths, plainNode } from '@lamella/test-support';
import t, { type Test } from 'tap';

const PROGRAM = fileURLToPath(new URL('../../bin/lamella-io.cjs', import.meta.url));

/** Runs the installed program in a directory with a raw image of 1 MiB. */
function prepare(t: Test): (words: readonly string[], input?: string, name?: string) => Ended {
  const at = paths(t);
  writeFileSync(at('a.raw'), Buffer.alloc(1 << 20));
  return (words, input = '', name = 'lamella-io') => {
    const link = at(name);
    rmSync(link, { force: true });
    symlinkSync(PROGRAM, link);
    const { status, signal, stdout, stderr } = spawnSync(...plainNode(link, ...words), {
      cwd: at(''),
      encoding: 'utf8',
      input,
      timeout: 20_000,
    });
    return { status, signal, stdout, stderr };
  };
}

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const RAW = ['-f', 'raw', 'a.raw'];

t.test('runs commands and scripts by the name it was called by', async (t) => {
  const run = prepare(t);
  t.same(run(['-c', 'length', ...RAW]), { status: 0, signal: null, stdout: '1 MiB\n', stderr: '' });
  t.match(run(['-c', 'length', 'b.raw']), {
    status: 1,
    stderr:
      "lamella-io: can't open device b.raw: Could not open 'b.raw': No such file or directory\n",
  });
  t.match(run(['-c', 'length', 'b.raw'], '', 'qemu-io'), { stderr: /^qemu-io: / });
  t.same(run(RAW, 'length\nquit\nlength\n', 'qemu-io').stdout, 'qemu-io> 1 MiB\nqemu-io> ');
  t.match(run(['--version']), { status: 0, stdout: /^lamella-io version \d/ });
  t.match(run(['--help']), { status: 0, stdout: /^Usage: lamella-io / });
  t.notMatch(run(['--help']).stdout, 'qemu.org', 'bugs are not to be reported there');
});

t.test('signals and crashes', async (t) => {
  const run = prepare(t);
  t.equal(run(['-c', 'sigraise 15', '-c', 'length', ...RAW]).signal, 'SIGTERM');
  t.equal(run(['-c', 'sigraise 9', ...RAW]).signal, 'SIGKILL');
  t.equal(run(['-c', 'abort', ...RAW]).signal, 'SIGABRT');
});

t.test('what 7.2 does not have (note 13)', async (t) => {
  const run = prepare(t);
  const registered = [
    'read -r',
    'readv -r',
    'write -r',
    'writev -r',
    'aio_read -r',
    'aio_write -r',
  ];
  const { status, stdout } = run([
    ...registered.flatMap((each) => ['-c', `${each} 0 512`]),
    ...RAW,
  ]);
  t.equal(status, 0);
  t.equal(stdout.match(/512\/512 bytes at offset 0/g)?.length, registered.length);
  const discarded = run(
    [
      ...[
        'write -P 1 0 64k',
        'aio_discard 0 64k',
        'aio_flush',
        'aio_discard -q 0 1',
        'aio_discard 5G 1',
      ],
      'aio_flush',
    ]
      .flatMap((each) => ['-c', each])
      .concat(RAW),
  );
  t.equal(discarded.status, 0);
  t.match(discarded.stdout, /^discard 65536\/65536 bytes at offset 0\n64 KiB, 1 ops; /m);
  t.match(discarded.stdout, /\naio_discard failed: Input\/output error\n$/);
  const zones = run(['-c', 'zone_report 0 1', '-c', 'zrp 0 1', '-c', 'zone_reset 0 1', ...RAW]);
  t.equal(zones.status, 1);
  t.equal(
    zones.stdout,
    'zone report failed: Operation not supported\nzone report failed: Operation not supported\n' +
      'zone reset failed: Operation not supported\n',
  );
});

t.test('a request that nobody resumes ends the program, with an error', async (t) => {
  const run = prepare(t);
  const stuck = run(['-c', 'wait_break A', '-f', 'raw', 'blkdebug::a.raw']);
  t.match(stuck, { status: 1, stderr: /^lamella-io: a request waits at a breakpoint/ });
});
