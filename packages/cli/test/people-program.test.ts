import { spawnSync } from 'node:child_process';
import { constants, cpSync, mkdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { COMMANDS } from '#internal/img/commands/index.js';
import { wantsColours } from '#internal/people/terminal/colours.js';
import { makeFixtures, namesIn } from './support/fixtures.js';
import { changedFiles, compareContents, IDENTICAL } from './support/images.js';
import { runPeople } from './support/people.js';
import { runOurs } from './support/programs.js';
import { skipWithoutQemu } from './support/qemu.js';
import { temporary } from './support/temporary.js';
import { wordsOf } from './support/words.js';

const program = fileURLToPath(new URL('../../bin/lamella.cjs', import.meta.url));

const ESCAPE = '\u001b[';

/** Command lines of every subcommand; `info` in words for people is tested by itself. */
const SAME: readonly string[] = [
  'create -f qcow2 -o cluster_size=128k new.qcow2 3M',
  'create -q -f qcow2 -b base.raw -F raw new.qcow2',
  'info --output json over.qcow2',
  'info --output=json --backing-chain top.qcow2',
  'map top.qcow2',
  'map --output json -s 64k -l 128k top.qcow2',
  'check plain.qcow2',
  'check --output=json packed.qcow2',
  'compare base.raw over.qcow2',
  'compare -s base.raw same.raw',
  'convert -O qcow2 -c base.raw out.qcow2',
  'convert -f raw -O qcow2 -o cluster_size=4k,compat=0.10 base.raw out.qcow2',
  'convert --target-format qcow2 -n base.raw plain.qcow2',
  'convert -p base.raw empty.raw out.raw',
  'convert -O qcow2 -l one snap.qcow2 out.qcow2',
  'commit over.qcow2',
  'commit -q -d top.qcow2',
  'rebase -b larger.raw -F raw over.qcow2',
  'rebase -u -b  -F raw over.qcow2',
  'resize plain.qcow2 +1M',
  'resize --shrink plain.qcow2 -64k',
  'resize plain.qcow2 -- -64k',
  'snapshot -l snap.qcow2',
  'snapshot -d one snap.qcow2',
  'bitmap --add -g 64k plain.qcow2 b0',
  'bitmap --merge first --disable bits.qcow2 second',
  'amend -o lazy_refcounts=on plain.qcow2',
  'measure -O qcow2 base.raw',
  'measure --output json --size 1G',
  'dd if=base.raw of=out.raw bs=64k count=4 skip=1',
];

t.test('does and prints what lamella-img does', skipWithoutQemu, async (t) => {
  const root = temporary(t);
  const fixtures = join(root, 'fixtures');
  mkdirSync(fixtures);
  makeFixtures(fixtures, SAME);
  for (const [index, line] of SAME.entries()) {
    // The same names in both, should one appear in an image.
    const img = join(root, 'img', String(index));
    const people = join(root, 'people', String(index));
    for (const directory of [img, people]) {
      mkdirSync(directory, { recursive: true });
      for (const name of namesIn(line)) {
        cpSync(join(fixtures, name), join(directory, name), { mode: constants.COPYFILE_FICLONE });
      }
    }
    const expected = await runOurs(img, wordsOf(line));
    const actual = await runPeople(people, wordsOf(line));
    t.equal(actual.code, expected.code, `${line}: exit code`);
    t.equal(varying(actual.stdout), varying(expected.stdout), `${line}: standard output`);
    if (expected.code === 0) {
      t.equal(actual.stderr, expected.stderr, `${line}: standard error`);
    }
    for (const name of changedFiles(fixtures, img, people)) {
      const same = compareContents(img, people, name) === IDENTICAL;
      t.ok(same, `${line}: ${name} is the same`);
    }
  }
});

/** What differs between two copies on one disk. */
function varying(text: string): string {
  return text
    .replace(/( {4}\(\d+\.\d\d\/100%\)\r)+/g, '(PROGRESS)')
    .replace(/"actual-size": \d+/g, '"actual-size": N')
    .replace(/"offset": \d+/g, '"offset": N');
}

t.test('help for people', async (t) => {
  const { stdout, code } = await runPeople(t.testdir(), ['--help']);
  t.equal(code, 0);
  for (const { name, summary, options } of COMMANDS) {
    t.match(stdout, `  ${name.padEnd(10)}`);
    t.match(stdout, summary);
    const long = await runPeople(t.testdir(), [name, '--help']);
    const short = await runPeople(t.testdir(), ['help', name]);
    t.same(short, long, `help ${name}`);
    t.equal(long.code, 0);
    t.equal(long.stderr, '');
    for (const { long: option, short: letter } of options) {
      const word = option === undefined ? `-${letter}` : `--${option}`;
      t.ok(long.stdout.includes(word), `${name} --help tells of ${word}`);
    }
    t.ok(
      long.stdout.split('\n').every((line) => line.length <= 100),
      `${name} --help fits the terminal`,
    );
  }
  t.match(await runPeople(t.testdir(), ['--version']), {
    stdout: /^lamella \d+\.\d+\.\d+\n$/,
    code: 0,
  });
  const nothing = await runPeople(t.testdir(), []);
  t.match(nothing, { code: 1, stdout: '', stderr: /^Usage: lamella COMMAND/ });
});

t.test('mistakes lead to what was meant', async (t) => {
  const directory = t.testdir({ 'disk.raw': 'x'.repeat(512) });
  const cases: readonly (readonly [string, RegExp])[] = [
    ['conver a b', /unknown command 'conver'\n {2}fix: Did you mean convert\?/],
    ['info --chian disk.raw', /unknown option '--chian'\n {2}fix: Did you mean --chain\?/],
    ['info disc.raw', /No such file or directory\n {2}fix: Did you mean 'disk\.raw'\?/],
    ['info nowhere/disk.raw', /fix: There is no directory 'nowhere'\./],
    ['create -f qcow x 1M', /Unknown file format 'qcow'\n {2}fix: Did you mean 'qcow2'\?/],
    [
      'create -f qcow2 -o clustersize=64k x 1M',
      /Invalid parameter 'clustersize'\n {2}fix: Did you mean 'cluster_size'\?/,
    ],
    ['resize disk.raw', /fix: Try 'lamella resize --help'\./],
    ['check -f qcow2 disk.raw', /not in qcow2 format\n {2}fix: Leave the format out/],
    ['completion tcsh', /fix: Did you mean 'zsh'|fix: There are: bash, zsh, fish\./],
    ['create x 10X', /size specified: '10X'\n {2}fix: A size is a number of bytes, or one with k,/],
    ['create -f qcow2 x', /fix: Give it behind the name: lamella create -f qcow2 x 10G/],
    ['create -f qcow2 -b disk.raw x', /Detected format of raw\.\n {2}fix: .*-F raw/],
    ['convert disk.raw', /Must specify .*\n {2}fix: Try 'lamella convert --help'\./],
    ['dd if=disk.raw', /Must specify .*\n {2}fix: Try 'lamella dd --help'\./],
    ['commit -f raw disk.raw', /fix: Only overlays .*: lamella info --chain disk\.raw/],
    ['info --output', /option '--output <human\|json>' argument missing/],
  ];
  for (const [line, expected] of cases) {
    const { stdout, stderr, code } = await runPeople(directory, wordsOf(line));
    t.match(stderr, expected, line);
    t.match(stderr, /^error: /, `${line}: begins with the error`);
    t.same({ stdout, code }, { stdout: '', code: 1 }, line);
  }
});

t.test('snapshots, bitmaps and passphrases that are missing', async (t) => {
  const directory = t.testdir();
  await runPeople(directory, wordsOf('create -q -f qcow2 a.qcow2 1M'));
  const cases: readonly (readonly [string, RegExp])[] = [
    ['snapshot -a no a.qcow2', /fix: There are none\./],
    ['bitmap --remove a.qcow2 no', /fix: There are none\./],
    [
      'create -q -f qcow2 -o encrypt.format=luks b.qcow2 1M',
      /fix: .*--object secret,id=key,file=PATH -o .*encrypt\.key-secret=key/,
    ],
  ];
  for (const [line, expected] of cases) {
    t.match(await runPeople(directory, wordsOf(line)), { stderr: expected, code: 1 }, line);
  }
});

t.test('a missing backing file comes with what to do about it', async (t) => {
  const directory = t.testdir();
  await runPeople(directory, wordsOf('create -q -u -f qcow2 -b gone.raw -F raw top.qcow2 1M'));
  const { stderr, code } = await runPeople(directory, ['compare', 'top.qcow2', 'top.qcow2']);
  t.equal(code, 2);
  t.match(stderr, /gone\.raw.*\n {2}fix: .*lamella rebase -u -b FILE -F FORMAT top\.qcow2/);
});

t.test('so does a missing data file', async (t) => {
  const directory = t.testdir();
  await runPeople(directory, wordsOf('create -q -f qcow2 -o data_file=d.raw a.qcow2 1M'));
  unlinkSync(join(directory, 'd.raw'));
  const { stderr, code } = await runPeople(directory, ['resize', 'a.qcow2', '+1M']);
  t.equal(code, 1);
  t.match(stderr, /fix: .*data-file\.filename=FILE,file\.filename=a\.qcow2/);
});

t.test('control characters of names reach no terminal', async (t) => {
  const directory = t.testdir();
  const evil = 'x\u001b[2J\u0007\u202e.raw';
  await runPeople(directory, [
    'create',
    '-q',
    '-u',
    '-f',
    'qcow2',
    '-b',
    evil,
    '-F',
    'raw',
    'a.qcow2',
    '1M',
  ]);
  for (const words of [
    ['info', 'a.qcow2'],
    ['info', '--chain', 'a.qcow2'],
    ['map', 'a.qcow2'],
    ['info', evil],
  ]) {
    const { stdout, stderr } = await runPeople(directory, words);
    for (const letter of ['\u001b', '\u0007', '\u202e']) {
      t.notOk((stdout + stderr).includes(letter), words.join(' '));
    }
    t.match(stdout + stderr, 'x\ufffd[2J\ufffd\ufffd.raw');
  }
});

t.test('colours: on terminals, and as the environment says', async (t) => {
  const cases: readonly (readonly [NodeJS.ProcessEnv, boolean, boolean])[] = [
    [{}, true, true],
    [{}, false, false],
    [{ CI: '1' }, false, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '0' }, true, false],
    [{ TERM: 'dumb' }, true, false],
  ];
  for (const [env, terminal, expected] of cases) {
    t.equal(wantsColours(1, env, terminal), expected, `${JSON.stringify(env)}, ${terminal}`);
  }
  const directory = t.testdir();
  const run = (env: NodeJS.ProcessEnv): string => {
    const options = {
      cwd: directory,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...env },
    } as const;
    spawnSync(process.execPath, [program, 'create', '-q', 'a.raw', '1M'], options);
    const { stdout, stderr } = spawnSync(process.execPath, [program, 'info', 'a.raw'], options);
    t.equal(stderr, '');
    return stdout;
  };
  t.notOk(run({ CI: '1' }).includes(ESCAPE));
  t.ok(run({ FORCE_COLOR: '1' }).includes(ESCAPE));
  t.notOk(run({ FORCE_COLOR: '1', NO_COLOR: '1' }).includes(ESCAPE));
});
