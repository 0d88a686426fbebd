import { constants, cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { directory, needs } from '@lamella/test-support';
import t, { type Test } from 'tap';
import { makeFixtures, namesIn } from './fixtures.js';
import { changedFiles, compareContents, describe, IDENTICAL } from './images.js';
import type { Outcome } from './in-process.js';
import { asNewer } from './newer.js';
import { runOurs, runQemu } from './programs.js';
import { wordsOf } from './words.js';

/** A case: command lines without `qemu-img`, one after the other, separated by `&&`. */
export type Case =
  | string
  | {
      readonly run: string;
      /** What ours prints instead, where it is meant to differ. */
      readonly ours: Partial<Outcome>;
      /** Why. */
      readonly because: string;
      /** Leave what is said of the images out of the comparison; the bytes are compared. */
      readonly bytesOnly?: boolean;
      /** Ours fails and changes nothing. */
      readonly refused?: boolean;
    };

/** Runs each case with both programs on copies of the same images and compares all that can be seen. */
export function compareAll(cases: readonly Case[]): void {
  const options = { ...needs('qemu-img', 'qemu-io'), timeout: 600_000 };
  t.test('prints and does what qemu-img does', options, (sub) => runAll(sub, cases));
}

async function runAll(t: Test, cases: readonly Case[]): Promise<void> {
  const root = directory(t);
  const fixtures = join(root, 'fixtures');
  mkdirSync(fixtures);
  makeFixtures(
    fixtures,
    cases.map((one) => (typeof one === 'string' ? one : one.run)),
  );
  for (const one of cases) {
    await compareOne(t, root, fixtures, one);
  }
}

async function compareOne(t: Test, root: string, fixtures: string, one: Case): Promise<void> {
  const line = typeof one === 'string' ? one : one.run;
  // The same name in both, should one appear in a message.
  const [theirs, ours] = [join(root, 'a', 'images'), join(root, 'b', 'images')];
  for (const directory of [theirs, ours]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    for (const name of namesIn(line)) {
      cpSync(join(fixtures, name), join(directory, name), { mode: constants.COPYFILE_FICLONE });
    }
  }
  const commands = line.split(' && ').map(wordsOf);
  let succeeded = true;
  for (const [index, words] of commands.entries()) {
    const expected = asNewer(runQemu(theirs, words), words, theirs);
    const actual = await runOurs(ours, words);
    const meant = typeof one === 'string' || index < commands.length - 1 ? {} : one.ours;
    const loose = index > 0 || words.includes('create') || words.includes('convert');
    succeeded &&= expected.code === 0;
    t.same(
      normalise(actual, loose),
      normalise({ ...expected, ...meant }, loose),
      `${line} [${index}]`,
    );
  }
  if (typeof one !== 'string' && one.refused === true) {
    for (const name of namesIn(line)) {
      const same = compareContents(fixtures, ours, name) === IDENTICAL;
      t.ok(same, `${line}: ${name} is as before`);
    }
    return;
  }
  // A failed command leaves what was there alone, which qemu-img does not always do.
  if (!succeeded) {
    return;
  }
  for (const name of changedFiles(fixtures, theirs, ours)) {
    if (typeof one === 'string' || one.bytesOnly !== true) {
      t.same(describe(ours, name), describe(theirs, name), `${line}: ${name}`);
    }
    t.equal(compareContents(theirs, ours, name), IDENTICAL, `${line}: bytes of ${name}`);
  }
}

/**
 * What no two runs have in common, and what 7.2 can't say (note 3: whether a row of `map` is compressed).
 *
 * @param loose - the images were made by each program, so the file system may lay them out differently
 */
function normalise({ stdout, stderr, code }: Outcome, loose: boolean): Outcome {
  let text = stdout
    // How often progress is told depends on how the work is cut into pieces.
    .replace(/( {4}\(\d+\.\d\d\/100%\)\r)+/g, '    (PROGRESS)\r')
    .replace(/"compressed": (true|false), /g, '')
    .replace(/, "compressed": (true|false)\}/g, '}')
    .replace(/Run completed in \d+\.\d{3} seconds/, 'Run completed in N seconds');
  if (loose) {
    text = text
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'DATE')
      .replace(/"date-n?sec": \d+/g, '"date": N')
      .replace(/disk size: .*/g, 'disk size: N')
      .replace(/file length: .*/g, 'file length: N')
      .replace(/Image end offset: .*/g, 'Image end offset: N')
      .replace(/"(actual-size)": \d+/g, '"$1": N');
  }
  return { stdout: text, stderr: stderr.replace(/#block\d+/g, '#block'), code };
}
