/** Runs every example as its users do, and fails unless each prints what it is to show. For CI. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('.', import.meta.url));
/** Files that are no examples themselves. */
const PARTS = ['draw-chain.js', 'test-examples.js'];

/** What each example has to print: these lines, in this order, perhaps with others between. */
const EXPECTED: Readonly<Record<string, readonly RegExp[]>> = {
  'compose-chain.js': [
    /^ +scratch\.qed +qed +16 MiB/,
    /^ +└ base\.img +raw +16 MiB/,
    / 0 MiB +2 MiB +data in base\.img at byte 0$/,
    / 10\.00 MiB +QED scratch\. QED scratch$/,
    /^With a throw-away overlay/,
    / 0\.00 MiB +never happened\. never ha/,
    / 0\.00 MiB +raw base\. raw base\. raw /,
  ],
  'convert-with-progress.js': [
    /^ +5\d %$/,
    /^ *100 %$/,
    /^The copy is complete\.$/,
    /^Given up half-way: nothing is left\.$/,
  ],
  'incremental-backup.js': [
    /^Copied 1\.\d\d MiB of a disk of 64 MiB\.$/,
    /^It records: since tuesday\.$/,
    /^The restored disk is the live one\.$/,
  ],
  'inspect-upload.js': [
    /^good\.qcow2 +accepted: qcow2, 64 MiB, 1 MiB of data$/,
    /^good\.qed +accepted: qed, 64 MiB, 1 MiB of data$/,
    /^passwd\.qcow2 +refused: it names another file, '\/etc\/passwd'$/,
    /^shadow\.qcow2 +refused: it names another file, '.*shadow\.raw'$/,
    /^vast\.qcow2 +refused: the disk has 8192 GiB$/,
    /^tables\.qcow2 +refused: LIMIT_EXCEEDED/,
    /^overlap\.qcow2 +refused: it is damaged/,
    /^cut\.qcow2 +refused: TRUNCATED/,
    /^bomb\.vmdk +refused: the format raw is not accepted$/,
  ],
  'read-partitioned-file.js': [
    /^hostname: guest-7$/,
    /^messages: 2000 lines, the last is 'line 2000 of a log'$/,
    /^\/: etc lost\+found var$/,
  ],
};

/** The first line that is missing, or undefined. */
function missing(output: string, expected: readonly RegExp[]): RegExp | undefined {
  const lines = output.split('\n');
  let next = 0;
  return expected.find((pattern) => {
    const at = lines.findIndex((line, index) => index >= next && pattern.test(line));
    next = at + 1;
    return at < 0;
  });
}

async function problemOf(example: string): Promise<string | undefined> {
  const expected = EXPECTED[example];
  if (expected === undefined) {
    return 'nothing says what it is to print';
  }
  try {
    const { stdout } = await run(process.execPath, [FOLDER + example], {
      env: { ...process.env, NO_COLOR: '1' },
      timeout: 60_000,
    });
    const pattern = missing(stdout, expected);
    return pattern === undefined ? undefined : `it did not print ${pattern}, but:\n${stdout}`;
  } catch (error) {
    return String(error);
  }
}

const found = (await readdir(FOLDER)).filter((file) => file.endsWith('.js')).sort();
const examples = [...new Set([...found, ...Object.keys(EXPECTED)])].filter(
  (file) => !PARTS.includes(file),
);
for (const example of examples) {
  const problem = await problemOf(example);
  console.log(`${problem === undefined ? 'ok' : 'NOT OK'}  ${example}`);
  if (problem !== undefined) {
    console.log(problem);
    process.exitCode = 1;
  }
}
