import { Failure } from './failure.js';
import { Getopt, type GetoptOption } from './getopt.js';
import type { Session } from './session.js';

/** How an option is written, and a line of help. */
export interface OptionText extends GetoptOption {
  /** Name of the argument in help texts. */
  readonly metavar?: string | undefined;
  /** One line for the help text. */
  readonly help: string;
}

/** An option of a command, and what it does to the settings. */
export interface CommandOption<S> extends OptionText {
  /**
   * Takes the option into the settings, as soon as it is met.
   *
   * @throws Failure for a value that can't be
   */
  apply(settings: S, value: string, session: Session): void;
}

/** A run of a command whose words somebody else takes apart. */
export interface CommandRun {
  /** The options, without the one for help; `take` is called for each that is met, in their order. */
  readonly options: readonly TakenOption[];
  /**
   * Runs the command with the options taken so far.
   *
   * @returns the exit code
   * @throws Failure, LamellaError
   */
  run(operands: readonly string[]): Promise<number>;
}

/** An option that is taken into the settings of one run. */
export interface TakenOption extends OptionText {
  /**
   * @param value - empty for an option without one
   * @throws Failure for a value that can't be
   */
  take(value: string): void;
}

/** A command of a program. */
export interface Command {
  /** Name on the command line. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What follows the options, for help texts. */
  readonly operands: string;
  /** The last of several words is an operand, whatever it looks like. */
  readonly lastIsOperand: boolean;
  /** The options, without the one for help. */
  readonly options: readonly OptionText[];
  /** Begins a run for a program that reads command lines in another way. */
  begin(session: Session): CommandRun;
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
  const { name, summary, operands, lastIsOperand = false, settings, run } = definition;
  const options = [...definition.options, helpOption(definition)];
  return {
    name,
    summary,
    operands,
    lastIsOperand,
    options: definition.options,
    begin(session) {
      const chosen = settings();
      return {
        options: definition.options.map((option) => ({
          ...option,
          take: (value) => option.apply(chosen, value, session),
        })),
        run: (words) => run(session, chosen, words),
      };
    },
    async run(session, words) {
      const chosen = settings();
      try {
        const last = lastIsOperand && words.length > 1 ? words.slice(-1) : [];
        const before = words.slice(0, words.length - last.length);
        const read = readOptions(session, options, chosen, before);
        return await run(session, chosen, [...read, ...last]);
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
