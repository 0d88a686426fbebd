import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeFixtures } from '../support/fixtures.js';
import { changedFiles, compareContents, describe, IDENTICAL } from '../support/images.js';
import { wordsOf } from '../support/words.js';
import { type Outcome, runOurs, runQemu } from './programs.js';

/** A case: a command line without `qemu-io`. */
export type Case =
  | string
  | {
      readonly run: string;
      /** Standard input. */
      readonly stdin?: string;
      /** Changes what qemu-io 7.2 printed into what is right, where the two are meant to differ. */
      readonly corrected?: (outcome: Outcome) => Outcome;
      /** Why they differ; needed with `corrected` and `ignoreImages`. */
      readonly because?: string;
      /** Leave the images out of the comparison. */
      readonly ignoreImages?: boolean;
    };

/** Runs each case with both programs on copies of the same images and compares all that can be seen. */
export function compareAll(cases: readonly Case[]): void {
  t.test('prints and does what qemu-io does', { timeout: 600_000 }, (sub) => runAll(sub, cases));
}

async function runAll(t: Test, cases: readonly Case[]): Promise<void> {
  if (spawnSync('qemu-io', ['--version']).status !== 0) {
    if (process.env.LAMELLA_REQUIRE_QEMU !== '1') {
      t.pass('qemu-io is not installed', { skip: 'not installed: qemu-io' });
      return;
    }
  }
  const root = mkdtempSync(join(tmpdir(), 'lamella-io-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const fixtures = join(root, 'fixtures');
  mkdirSync(fixtures);
  makeFixtures(fixtures);
  writeFileSync(join(fixtures, 'pattern.txt'), 'Lamella\n');
  writeFileSync(join(fixtures, 'empty.txt'), '');
  for (const one of cases) {
    await compareOne(t, root, fixtures, one);
  }
}

async function compareOne(t: Test, root: string, fixtures: string, one: Case): Promise<void> {
  const { run, stdin = '', corrected, ignoreImages } = typeof one === 'string' ? { run: one } : one;
  // The same name in both, should one appear in a message.
  const [theirs, ours] = [join(root, 'a', 'images'), join(root, 'b', 'images')];
  for (const directory of [theirs, ours]) {
    rmSync(directory, { recursive: true, force: true });
    cpSync(fixtures, directory, { recursive: true, preserveTimestamps: true });
  }
  const words = wordsOf(run);
  const expected = runQemu(theirs, words, stdin);
  const actual = await runOurs(ours, words, stdin);
  t.same(normalise(actual), normalise(corrected?.(expected) ?? expected), run);
  if (ignoreImages === true) {
    return;
  }
  for (const name of changedFiles(fixtures, theirs, ours)) {
    t.same(describe(ours, name), describe(theirs, name), `${run}: ${name}`);
    t.equal(compareContents(theirs, ours, name), IDENTICAL, `${run}: bytes of ${name}`);
  }
}

/** What no two runs have in common: how long it took. */
const TIMES: readonly (readonly [RegExp, string])[] = [
  [
    /^(.* ops; )(?:\d\d\.\d\d sec|\d+:\d\d:\d\d\.\d\d) \(\d+(?:\.\d+)? (?:bytes|[KMGTP]iB)\/sec and \d+\.\d{4} ops\/sec\)$/gm,
    '$1TIME',
  ],
  [/^(\d+,1,)\d+:\d\d:\d\d\.\d\d,\d+\.\d{3},\d+\.\d{3}$/gm, '$1TIME'],
];

function normalise(outcome: Outcome): Outcome {
  const stdout = TIMES.reduce((text, [from, to]) => text.replace(from, to), outcome.stdout);
  return { ...outcome, stdout };
}
