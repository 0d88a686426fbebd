import type { Command } from '../command-line/command.js';
import { Failure } from '../command-line/failure.js';
import { Getopt } from '../command-line/getopt.js';
import type { Session } from '../command-line/session.js';
import { problemOfAny } from '../messages/problem.js';
import { VERSION } from '../version.js';
import { COMMANDS } from './commands/index.js';

const OPTIONS = [
  { short: 'h', long: 'help', takesValue: false },
  { short: 'V', long: 'version', takesValue: false },
  { short: 'T', long: 'trace', takesValue: true },
];

/**
 * `lamella-img`: the command line of qemu-img.
 *
 * @param words - without the program's name
 * @returns the exit code
 */
export async function main(session: Session, words: readonly string[]): Promise<number> {
  // What stands before the command belongs to the program, what follows to the command.
  const first = words.findIndex((word, index) => isCommand(word, words[index - 1]));
  const own = first < 0 ? words : words.slice(0, first);
  try {
    const asked = readOwnOptions(own);
    if (asked !== undefined) {
      session.out(asked === 'version' ? versionText(session.name) : helpText(session.name));
      return 0;
    }
    const name = first < 0 ? undefined : words[first];
    if (name === undefined) {
      throw new Failure('Not enough arguments', { usage: true });
    }
    const command = COMMANDS.find((known) => known.name === name);
    if (command === undefined) {
      throw new Failure(`Command not found: ${name}`, { usage: true });
    }
    return await runCommand(session, command, words.slice(first + 1));
  } catch (error) {
    return report(session, error, undefined);
  }
}

async function runCommand(
  session: Session,
  command: Command,
  words: readonly string[],
): Promise<number> {
  try {
    return await command.run(session, words);
  } catch (error) {
    return report(session, error, command.name);
  }
}

function isCommand(word: string, before: string | undefined): boolean {
  return !word.startsWith('-') && before !== '-T' && before !== '--trace';
}

function readOwnOptions(words: readonly string[]): 'help' | 'version' | undefined {
  const getopt = new Getopt(words, OPTIONS);
  for (let next = getopt.next(); next !== undefined; next = getopt.next()) {
    switch (next.kind) {
      case 'no-value':
        throw new Failure(`missing argument for option '${next.text}'`, { usage: true });
      case 'unknown':
        throw new Failure(`unrecognized option '${next.text}'`, { usage: true });
      case 'option':
        if (next.option.long !== 'trace') {
          return next.option.long === 'help' ? 'help' : 'version';
        }
    }
  }
  return undefined;
}

/** Prints what went wrong and gives the exit code. */
function report(session: Session, error: unknown, command: string | undefined): number {
  const failure = error instanceof Failure ? error : new Failure(problemOfAny(error));
  const { message, exitCode, usage, lineEnd } = failure;
  // Two messages in one: each gets the name.
  const parts = message.split(/\n(?=kilobytes,|warning:|Failed in parsing )/);
  session.error(parts.map((part) => `${session.name}: ${part}`).join('\n') + lineEnd);
  if (usage) {
    const what = command === undefined ? '' : ` ${command}`;
    session.error(`Try '${session.name}${what} --help' for more information\n`);
  }
  return exitCode;
}

function versionText(name: string): string {
  return `${name} version ${VERSION} (Lamella)\n`;
}

function helpText(name: string): string {
  const commands = COMMANDS.map(
    (command) => `  ${command.name.padEnd(10)} ${command.summary}\n`,
  ).join('');
  return (
    'Virtual disk images: make, look at, change and convert them.  Usage:\n\n' +
    `  ${name} [standard options] COMMAND [--help | command options]\n\n` +
    'Standard options:\n' +
    '  -h, --help                  show this help and exit\n' +
    '  -V, --version               show the version and exit\n' +
    '  -T, --trace PATTERN         accepted and ignored\n\n' +
    `Commands (--help after one shows its options):\n${commands}`
  );
}
