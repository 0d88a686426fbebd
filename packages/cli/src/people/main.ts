import type { Command } from '../command-line/command.js';
import type { Session } from '../command-line/session.js';
import { commandsIn } from './commands/index.js';
import { makeProgram, type Outcome, type ProgramStyle } from './program.js';
import { libraryError } from './report/hints.js';
import { reportError } from './report/report.js';

/**
 * `lamella`: the commands of qemu-img for people.
 *
 * @param words - without the program's name
 * @returns the exit code
 */
export async function main(
  session: Session,
  words: readonly string[],
  style: ProgramStyle,
): Promise<number> {
  const commands = commandsIn(style.out);
  const outcome: Outcome = { exitCode: 0, command: undefined };
  const program = makeProgram(session, commands, style, outcome);
  try {
    await program.parseAsync(withLastAsOperand(words, commands), { from: 'user' });
    return outcome.exitCode;
  } catch (error) {
    if (session.signal.aborted && libraryError(error)?.code === 'ABORTED') {
      session.error(`${style.error.yellow('Interrupted.')}\n`);
      return 1;
    }
    const { text, exitCode } = reportError(error, session.name, outcome.command, style.error);
    session.error(text);
    return exitCode;
  }
}

/** For commands whose last word is an operand even if it begins with a dash: `resize disk -1G`. */
function withLastAsOperand(
  words: readonly string[],
  commands: readonly Command[],
): readonly string[] {
  const at = words.findIndex((word) => !word.startsWith('-'));
  const command = commands.find(({ name }) => name === words[at]);
  const rest = words.length - at - 1;
  if (command?.lastIsOperand !== true || rest < 2 || words.includes('--')) {
    return words;
  }
  return [...words.slice(0, -1), '--', ...words.slice(-1)];
}
