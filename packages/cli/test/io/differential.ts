import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '@lamella/test-support';
import t, { type Test } from 'tap';
import { makeFixtures } from '../support/fixtures.js';
import { changedFiles, compareContents, describe, IDENTICAL } from '../support/images.js';
import type { Outcome } from '../support/in-process.js';
import { wordsOf } from '../support/words.js';
import { runOurs, runQemu } from './programs.js';

/** Most commands end in a flush, which costs nothing in memory. */
const MEMORY = '/dev/shm';

/** A case: a command line without `qemu-io`. */
export type Case =
  | string
  | {
      readonly run: string;
      /** Standard input. */
      readonly stdin?: string;
      /** Changes what qemu-io 7.2 printed into what is right, where the two are meant to differ. */
      readonly corrected?: (outcome: Outcome) => Outcome;
      /** Why they differ; needed with the other fields from here on. */
      readonly because?: string;
      /** Compare the bytes only and not where they are, neither in the images nor as `map` and `alloc` print it. */
      readonly ignorePlaces?: boolean;
      /** Leave the images out of the comparison. */
      readonly ignoreImages?: boolean;
    };

/** Runs each case with both programs on copies of the same images and compares all that can be seen. */
export function compareAll(cases: readonly Case[]): void {
  const options = { ...needs('qemu-img', 'qemu-io'), timeout: 600_000 };
  t.test('prints and does what qemu-io does', options, (sub) => runAll(sub, cases));
}

async function runAll(t: Test, cases: readonly Case[]): Promise<void> {
  const root = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'lamella-io-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const fixtures = join(root, 'fixtures');
  mkdirSync(fixtures);
  makeFixtures(
    fixtures,
    cases.map((one) => (typeof one === 'string' ? one : one.run)),
  );
  for (const [name, text] of Object.entries(TEXTS)) {
    writeFileSync(join(fixtures, name), text);
  }
  for (const one of cases) {
    await compareOne(t, root, fixtures, one);
  }
}

async function compareOne(t: Test, root: string, fixtures: string, one: Case): Promise<void> {
  const plain = typeof one === 'string' ? { run: one } : one;
  const { run, stdin = '', corrected, ignoreImages = false, ignorePlaces = false } = plain;
  // The same name in both, should one appear in a message.
  const [theirs, ours] = [join(root, 'a', 'images'), join(root, 'b', 'images')];
  for (const directory of [theirs, ours]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(fixtures).filter((file) => isUsed(run, file))) {
      cpSync(join(fixtures, name), join(directory, name), { preserveTimestamps: true });
    }
  }
  const words = wordsOf(run);
  const expected = runQemu(theirs, words, stdin);
  const actual = await runOurs(ours, words, stdin);
  t.same(
    normalise(actual, ignorePlaces),
    normalise(corrected?.(expected) ?? expected, ignorePlaces),
    run,
  );
  for (const name of changedFiles(fixtures, theirs, ours).filter((file) => isUsed(run, file))) {
    if (ignoreImages) {
      continue;
    }
    t.same(facts(ours, name, ignorePlaces), facts(theirs, name, ignorePlaces), `${run}: ${name}`);
    t.equal(compareContents(theirs, ours, name), IDENTICAL, `${run}: bytes of ${name}`);
  }
}

/** Files that are no images. */
const TEXTS: Readonly<Record<string, string>> = {
  'pattern.txt': 'Lamella\n',
  'empty.txt': '',
  'once.conf': '# once\n[inject-error]\nevent = "write_aio"\nerrno = "28"\nonce = "on"\n',
  'state.conf':
    '[set-state]\nevent = "write_aio"\nstate = "1"\nnew_state = "2"\n\n' +
    '[inject-error "second"]\nevent = "write_aio"\nstate = "2"\nerrno = "5"\nonce = "on"\nimmediately = "on"\n',
  'section.conf': '[inject-errors]\nevent = "write_aio"\n',
  'key.conf': '[inject-error]\nevent = "write_aio"\nfoo = "x"\n',
  'noevent.conf': '[inject-error]\nerrno = "5"\n',
  'event.conf': '[inject-error]\nevent = "foo"\n',
  'nogroup.conf': 'event = "write_aio"\n',
  'flag.conf': '[inject-error]\nevent = "write_aio"\nonce = "maybe"\n',
};

/** Whether a case can touch a file: by its name, or as what a file of that name lies upon. */
function isUsed(run: string, file: string): boolean {
  return (
    run.includes(file) ||
    (file === 'base.raw' && /over|top/.test(run)) ||
    (file === 'over.qcow2' && run.includes('top.'))
  );
}

/** What qemu-img says of an image. Where a file has holes within data is not the format's. */
function facts(directory: string, name: string, ignorePlaces: boolean): unknown {
  const { map, check, ...others } = describe(directory, name);
  return ignorePlaces || !Array.isArray(map)
    ? { ...others, check: withoutClusters(check) }
    : { ...others, check, map: withoutHoles(map) };
}

/** The answer of a check without how many clusters are in use. */
function withoutClusters(check: unknown): unknown {
  return JSON.parse(JSON.stringify(check), (key, value: unknown) =>
    key === 'allocated-clusters' ? undefined : value,
  );
}

function withoutHoles(rows: readonly string[]): readonly string[] {
  const flags = rows.map((row) =>
    row.replace('"zero": true, "data": true', '"zero": false, "data": true'),
  );
  return flags.filter((row, index) => index === 0 || flagsOf(row) !== flagsOf(flags[index - 1]));
}

function flagsOf(row: string | undefined): string | undefined {
  return row?.slice(row.indexOf(':'));
}

/** What no two runs have in common: how long it took. */
const TIMES: readonly (readonly [RegExp, string])[] = [
  [
    /^(.* ops; )(?:\d\d\.\d\d sec|\d+:\d\d:\d\d\.\d\d) \(\d+(?:\.\d+)? (?:bytes|[KMGTP]iB)\/sec and \d+\.\d{4} ops\/sec\)$/gm,
    '$1TIME',
  ],
  [/^(\d+,1,)\d+:\d\d:\d\d\.\d\d,\d+\.\d{3},\d+\.\d{3}$/gm, '$1TIME'],
];

/** A last flush that fails by a rule: QEMU makes none for raw and QED images when it closes them. */
const LAST_FLUSH = /^qemu-io: [a-z]+\.(?:raw|qed): injected failure: E[A-Z]+ \(at byte \d+\)\n$/m;

/** Lines of `map` and `alloc`. */
const PLACES = /^(.* allocated at offset .*)\n/gm;

function normalise(outcome: Outcome, ignorePlaces: boolean): Outcome {
  const stdout = TIMES.reduce((text, [from, to]) => text.replace(from, to), outcome.stdout);
  const stderr = outcome.stderr.replace(LAST_FLUSH, '');
  return { ...outcome, stderr, stdout: ignorePlaces ? stdout.replace(PLACES, '') : stdout };
}
