import { Failure } from './failure.js';
import { Getopt, type GetoptOption } from './getopt.js';
import type { Session } from './session.js';

/** An option of a command: how it is written, what it does to the settings, and a line of help. */
export interface CommandOption<S> extends GetoptOption {
  /** Name of the argument in help texts. */
  readonly metavar?: string | undefined;
  /** One line for the help text. */
  readonly help: string;
  /**
   * Takes the option into the settings, as soon as it is met.
   *
   * @throws Failure for a value that can't be
   */
  apply(settings: S, value: string, session: Session): void;
}

/** A command of a program. */
export interface Command {
  /** Name on the command line. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /**
   * Runs the command.
   *
   * @param words - what follows the name
   * @returns the exit code
   * @throws Failure, LamellaError
   */
  run(session: Session, words: readonly string[]): Promise<number>;
}

/** What a command consists of. */
export interface CommandDefinition<S> {
  readonly name: string;
  readonly summary: string;
  /** What follows the options, for the help text. */
  readonly operands: string;
  readonly options: readonly CommandOption<S>[];
  /** The last of several words is an operand, whatever it looks like. False by default. */
  readonly lastIsOperand?: boolean | undefined;
  /** Settings before any option. */
  readonly settings: () => S;
  readonly run: (session: Session, settings: S, operands: readonly string[]) => Promise<number>;
}

/** Makes a command that reads its options as `getopt_long` does. */
export function defineCommand<S>(definition: CommandDefinition<S>): Command {
  const { name, summary, settings, run } = definition;
  const options = [...definition.options, helpOption(definition)];
  return {
    name,
    summary,
    async run(session, words) {
      const chosen = settings();
      try {
        const last = definition.lastIsOperand === true && words.length > 1 ? words.slice(-1) : [];
        const before = words.slice(0, words.length - last.length);
        const operands = readOptions(session, options, chosen, before);
        return await run(session, chosen, [...operands, ...last]);
      } catch (error) {
        if (error instanceof HelpWanted) {
          session.out(error.message);
          return 0;
        }
        throw error;
      }
    },
  };
}

class HelpWanted extends Error {}

function helpOption<S>(definition: CommandDefinition<S>): CommandOption<S> {
  return {
    short: 'h',
    long: 'help',
    takesValue: false,
    help: 'show this help and exit',
    apply(_settings, _value, session) {
      throw new HelpWanted(helpText(definition, session.name));
    },
  };
}

function readOptions<S>(
  session: Session,
  options: readonly CommandOption<S>[],
  settings: S,
  words: readonly string[],
): readonly string[] {
  const getopt = new Getopt(words, options);
  for (let next = getopt.next(); next !== undefined; next = getopt.next()) {
    switch (next.kind) {
      case 'option':
        next.option.apply(settings, next.value, session);
        break;
      case 'no-value':
        throw new Failure(`missing argument for option '${next.text}'`, { usage: true });
      case 'unknown':
        throw new Failure(`unrecognized option '${next.text}'`, { usage: true });
    }
  }
  return getopt.operands;
}

function helpText<S>(definition: CommandDefinition<S>, program: string): string {
  const { name, summary, operands, options } = definition;
  const lines = [...options, helpOption(definition)].map((option) => {
    const { short, long, metavar, help } = option;
    const names = [
      ...(short === undefined ? [] : [`-${short}`]),
      ...(long === undefined ? [] : [`--${long}`]),
    ];
    const left = `  ${names.join(', ')}${metavar === undefined ? '' : ` ${metavar}`}`;
    return left.length < 30 ? `${left.padEnd(30)}${help}` : `${left}\n${' '.repeat(30)}${help}`;
  });
  const words = operands === '' ? '' : ` ${operands}`;
  return `${summary}.  Usage:\n\n  ${program} ${name} [OPTIONS]${words}\n\nOptions:\n${lines.join('\n')}\n`;
}
