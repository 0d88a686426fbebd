import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether a program is installed. */
export function isInstalled(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)));
}

/** Options of a test that needs a program: skipped visibly without it. */
export function skipWithout(...names: readonly string[]): { readonly skip?: string } {
  const missing = names.filter((name) => !isInstalled(name));
  return missing.length === 0 ? {} : { skip: `not installed: ${missing.join(', ')}` };
}

/**
 * Runs a command line of the shell on a pseudo terminal of its own.
 *
 * @param input - keys, all at once
 * @returns what the terminal was sent
 */
export function onTerminal(
  directory: string,
  line: string,
  { input = '', env = {} }: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
): string {
  const log = join(directory, 'terminal.log');
  spawnSync('script', ['-qec', line, log], {
    cwd: directory,
    input,
    env: {
      PATH: process.env.PATH,
      HOME: directory,
      TERM: 'xterm-256color',
      SHELL: '/bin/sh',
      ...env,
    },
    timeout: 60_000,
  });
  return readFileSync(log, 'utf8');
}
