import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { BlkdebugDriver } from '@lamella/filters';
import { Lamella, STORAGE_DRIVER } from 'lamella';
import { processOutput } from '../command-line/output.js';
import { Secrets } from '../command-line/secrets.js';
import { runIo } from './program.js';

const VERSION = '0.1.0';

const [, script = 'lamella-io', ...words] = process.argv;
const lamella = new Lamella();
lamella.container.register(STORAGE_DRIVER, { useClass: BlkdebugDriver });
const session = {
  ...processOutput,
  name: basename(script).replace(/\.[cm]?js$/, ''),
  secrets: new Secrets(),
  lamella,
  signal: new AbortController().signal,
};
process.exitCode = await runIo(session, words, {
  version: VERSION,
  lines: () => createInterface({ input: process.stdin, terminal: false }),
});
