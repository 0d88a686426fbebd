import type { PlainCommand } from '../command.js';
import { CommandFailure } from '../command-failure.js';
import { readInteger, readNumber } from '../numbers.js';

/** Largest number of a signal. */
const MAX_SIGNAL = 64n;

export const ABORT: PlainCommand = {
  name: 'abort',
  summary: 'simulate a program crash using abort(3)',
  words: [0, 0],
  needs: 'nothing',
  run() {
    process.abort();
  },
};

export const QUIT: PlainCommand = {
  name: 'quit',
  alias: 'q',
  summary: 'exit the program',
  words: [0],
  needs: 'nothing',
  run(shell) {
    shell.finished = true;
  },
};

export const SIGRAISE: PlainCommand = {
  name: 'sigraise',
  synopsis: 'signal',
  summary: 'raises a signal',
  manual: `
 raises the given signal

 Example:
 'sigraise 15' - raises SIGTERM

 Invokes raise(signal), where "signal" is the mandatory integer argument
 given to sigraise.

`,
  words: [1, 1],
  needs: 'nothing',
  async run(shell, [text = '']) {
    const signal = readNumber(text, shell.warn);
    if (signal > MAX_SIGNAL) {
      throw new CommandFailure(`signal argument '${text}' is too large to be a valid signal`);
    }
    process.kill(process.pid, Number(signal));
    // The signal arrives while the program waits.
    await new Promise((resolve) => setTimeout(resolve, signal === 0n ? 0 : 50));
  },
};

export const SLEEP: PlainCommand = {
  name: 'sleep',
  summary: 'waits for the given value in milliseconds',
  words: [1, 1],
  needs: 'nothing',
  async run(_shell, [text = '']) {
    const milliseconds = readInteger(text);
    if (milliseconds === undefined) {
      throw new CommandFailure(`${text} is not a valid number`);
    }
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  },
};
