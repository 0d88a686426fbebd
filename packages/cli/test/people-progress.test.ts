import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import cliProgress from 'cli-progress';
import type { Progress } from 'lamella';
import t from 'tap';
import { type BarState, barText } from '#internal/people/progress/bar-text.js';
import { ProgressBars } from '#internal/people/progress/progress-bars.js';
import { RateMeter } from '#internal/people/progress/rate-meter.js';
import { noColours } from '#internal/people/terminal/colours.js';
import { runPeople } from './support/people.js';
import { onTerminal, skipWithout } from './support/terminal.js';
import { wordsOf } from './support/words.js';

const program = fileURLToPath(new URL('../../bin/lamella.cjs', import.meta.url));
const lamella = `'${process.execPath}' '${program}'`;
const MIB = 1024 * 1024;
const ESCAPE = '\u001b[';

const half: BarState = {
  task: { title: 'convert' },
  share: 0.5,
  done: 512 * MIB,
  total: 1024 * MIB,
  rate: 64 * MIB,
  left: 8,
  elapsed: 8,
  ended: false,
};

t.test('a bar says how far, how fast and how long', async (t) => {
  t.equal(
    barText(half, 120, noColours),
    'convert ████████████████████░░░░░░░░░░░░░░░░░░░░  50%   512 MiB of 1 GiB  64 MiB/s    8 s left',
  );
  t.match(barText({ ...half, left: 3725 }, 100, noColours), / {2}1 h 02 min left$/);
  t.match(barText({ ...half, left: 65 }, 100, noColours), / {2}1 min 05 s left$/);
  const done: BarState = { ...half, share: 1, done: half.total, ended: true, elapsed: 2.5 };
  t.match(barText(done, 120, noColours), /█{40} 100% .* in 2\.5 s$/);
  t.match(barText({ ...half, ended: true }, 100, noColours), / {2}stopped after 8\.0 s$/);
  const steps: BarState = { ...half, task: { title: 'check', unit: 'steps' } };
  t.notMatch(barText(steps, 100, noColours), /[KMG]iB/, 'steps are no bytes');
});

t.test('it fits every terminal, and keeps its place while figures change', async (t) => {
  for (let width = 1; width <= 200; width += 1) {
    t.ok(barText(half, width, noColours).length <= Math.max(1, width - 1), `${width} columns`);
  }
  const lengths = new Set<number>();
  for (let done = 0; done < half.total; done += 7 * MIB) {
    const text = barText(
      { ...half, done, share: done / half.total, rate: done / 5, left: 1 + done / MIB / 9 },
      100,
      noColours,
    );
    lengths.add(text.replace(/[^█▏▎▍▌▋▊▉░]/g, '').length);
  }
  t.equal(lengths.size, 1);
});

t.test('the rate is that of the last seconds', async (t) => {
  const meter = new RateMeter(0);
  t.equal(meter.rate(0), 0);
  for (let tick = 1; tick <= 100; tick += 1) {
    meter.add(tick / 10, tick * 10);
  }
  t.ok(Math.abs(meter.rate(10) - 100) < 2, 'a steady rate');
  for (let tick = 1; tick <= 100; tick += 1) {
    meter.add(10 + tick / 10, 1000 + tick);
  }
  t.ok(Math.abs(meter.rate(20) - 10) < 1, 'a change is followed');
  t.ok(meter.rate(40) < meter.rate(20), 'a standstill shows');
});

class Screen extends Writable {
  readonly isTTY = true;
  readonly columns = 90;
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

t.test('short work shows no bar, long work does, and texts go between', async (t) => {
  const screen = new Screen();
  const bars = new ProgressBars(cliProgress, screen, noColours);
  const short = bars.start({ title: 'create' });
  short.update({ done: 1, total: 2 });
  bars.clear();
  short.finish();
  t.equal(screen.text, '');
  const long = bars.start({ title: 'convert' });
  long.update({ done: 10, total: 100 });
  await sleep(200);
  long.update({ done: 40, total: 100 });
  t.match(screen.text, /convert .* 40%/);
  // Told out of order by work that goes on side by side.
  long.update({ done: 30, total: 100 });
  await sleep(150);
  t.notMatch(screen.text, / 30%/);
  const before = screen.text.length;
  bars.clear();
  t.equal(screen.text.slice(before), `\r${ESCAPE}2K`, 'the line is free');
  await sleep(150);
  t.match(screen.text.slice(before + 5), /convert .* 40%/, 'and is drawn again');
  long.finish();
  t.match(screen.text, /100% .* in 0\.\d s/);
  t.ok(screen.text.endsWith(`${ESCAPE}?25h${ESCAPE}?7h\n`), 'the terminal is as before');
  const after = screen.text.length;
  bars.stop();
  await sleep(150);
  t.equal(screen.text.length, after, 'nothing is drawn any more');
});

const needsTerminal = skipWithout('script');

t.test('on a real terminal', needsTerminal, async (t) => {
  const directory = t.testdir();
  writeFileSync(join(directory, 'a.raw'), Buffer.alloc(12 * MIB, 1));
  const line = `stty cols 90; ${lamella} convert -r 16M -O qcow2 a.raw a.qcow2`;
  const shown = onTerminal(directory, line);
  t.match(shown, /\u2588.* \d+%.* of 12 MiB.*MiB\/s.* s left/);
  t.match(shown, /100%.*in \d+\.\d s/);
  t.ok(shown.includes(`${ESCAPE}36m`), 'in colour');
  const bare = onTerminal(directory, line, { env: { NO_COLOR: '1' } });
  t.match(bare, /\u2588.* \d+%/);
  t.notOk(/\u2588.*/.exec(bare)?.[0].includes(`${ESCAPE}36m`), 'NO_COLOR is honoured');
  const plain = onTerminal(directory, `${lamella} convert -p -r 64M -O qcow2 a.raw a.qcow2`);
  t.match(
    plain,
    /^ {4}\(0\.00\/100%\)\r[^\u2588]* {4}\(100\.00\/100%\)\r/m,
    '-p is as in qemu-img',
  );
  t.notMatch(plain, /\u2588/);
  const quiet = onTerminal(directory, `${lamella} convert -q -r 64M -O qcow2 a.raw a.qcow2`);
  t.notMatch(quiet, /\u2588/);
  const piped = onTerminal(
    directory,
    `${lamella} convert -r 64M -O qcow2 a.raw a.qcow2 2>&1 | cat`,
  );
  t.notOk(piped.includes('\u2588') || piped.includes(ESCAPE), 'no animation in a pipe');
});

/** Command lines that can last, and what they show. */
const LONG: readonly (readonly [line: string, title: string])[] = [
  ['create -f raw -o preallocation=full b.raw 40M', 'create'],
  ['create -f qcow2 -o preallocation=falloc b.qcow2 40M', 'create'],
  ['resize -f raw --preallocation=full b.raw +40M', 'resize'],
  ['resize --preallocation=full b.qcow2 +40M', 'resize'],
  ['convert -O qcow2 a.raw c.qcow2', 'convert'],
  ['compare a.raw c.qcow2', 'compare'],
  ['check c.qcow2', 'check'],
  ['measure -O qcow2 a.raw', 'measure'],
  ['dd if=a.raw of=d.raw bs=64k', 'dd'],
  ['create -q -f qcow2 -b a.raw -F raw top.qcow2', ''],
  ['rebase -b b.raw -F raw top.qcow2', 'rebase'],
  ['commit top.qcow2', 'commit'],
  ['amend -o refcount_bits=64 c.qcow2', 'amend'],
  ['map --svg map.svg c.qcow2', 'map'],
];

t.test('everything long tells how far it is', async (t) => {
  const directory = t.testdir();
  writeFileSync(join(directory, 'a.raw'), Buffer.alloc(20 * MIB, 1));
  for (const [line, title] of LONG) {
    const told: Progress[] = [];
    const ends: string[] = [];
    const { code, stderr } = await runPeople(directory, wordsOf(line), {
      showProgress: (task) => ({
        update: (progress) => told.push(progress),
        finish: () => ends.push(`${task.title} finished`),
        end: () => ends.push(`${task.title} ended`),
      }),
    });
    t.same({ code, stderr }, { code: 0, stderr: '' }, line);
    if (title !== '') {
      t.match(ends.join(), title, `${line}: shows it`);
      t.ok(told.length > 0, `${line}: tells of it`);
      t.ok(
        told.every(({ done, total }) => done >= 0 && done <= total),
        `${line}: never more than all`,
      );
    }
  }
});
