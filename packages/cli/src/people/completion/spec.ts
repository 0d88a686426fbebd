import { CACHE_MODES } from 'lamella';
import type { Command, OptionText } from '../../command-line/command.js';

/** What can follow an option or stand as an operand. */
export type Completed =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'files' }
  /** Something that only the user knows: a size, a name. */
  | { readonly kind: 'free' };

/** An option as a shell completes it. */
export interface CompletedOption {
  readonly short: string | undefined;
  readonly long: string | undefined;
  readonly help: string;
  /** What it is called in help; undefined for an option without a value. */
  readonly metavar: string | undefined;
  readonly value: Completed | undefined;
}

/** A command as a shell completes it. */
export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  readonly operands: Completed;
}

/** A program as a shell completes it. */
export interface CompletionSpec {
  readonly program: string;
  /** Options before the command. */
  readonly options: readonly CompletedOption[];
  readonly commands: readonly CompletedCommand[];
}

const HELP: CompletedOption = {
  short: 'h',
  long: 'help',
  help: 'show this help',
  metavar: undefined,
  value: undefined,
};
const VERSION: CompletedOption = { ...HELP, short: 'V', long: 'version', help: 'show the version' };
const DRIVER: CompletedOption = {
  short: undefined,
  long: 'driver',
  help: 'add the formats of a package',
  metavar: 'PACKAGE',
  value: { kind: 'free' },
};

/** Names of values that are files. */
const FILES = new Set(['FILE', 'BASE', 'SOURCE', 'TARGET', 'FILE1']);

/**
 * Says of a program's commands what completes them.
 *
 * @param formats - names of the formats that there are
 */
export function completionSpec(
  program: string,
  commands: readonly Command[],
  formats: readonly string[],
): CompletionSpec {
  const complete = (option: OptionText): CompletedOption => ({
    short: option.short,
    long: option.long,
    help: option.help,
    metavar: option.takesValue ? (option.metavar ?? 'VALUE') : undefined,
    value: option.takesValue ? completedValue(option.metavar ?? '', formats) : undefined,
  });
  const known = commands
    .map(({ name, summary, options, operands }) => ({
      name,
      summary,
      options: [...options.map(complete), HELP],
      operands: operandsOf(operands),
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const help: CompletedCommand = {
    name: 'help',
    summary: 'show the help of a command',
    options: [],
    operands: { kind: 'words', words: known.map(({ name }) => name) },
  };
  return { program, options: [HELP, VERSION, DRIVER], commands: [...known, help] };
}

function completedValue(metavar: string, formats: readonly string[]): Completed {
  if (metavar.includes('|')) {
    return { kind: 'words', words: metavar.split('|') };
  }
  if (FILES.has(metavar)) {
    return { kind: 'files' };
  }
  switch (metavar) {
    case 'FMT':
      return { kind: 'words', words: formats };
    case 'CACHE':
      return { kind: 'words', words: CACHE_MODES };
    case 'MODE':
      return { kind: 'words', words: ['off', 'metadata', 'falloc', 'full'] };
    default:
      return { kind: 'free' };
  }
}

/** `bash|zsh` are words; anything else has a file among it. */
function operandsOf(operands: string): Completed {
  return /^[a-z]+(\|[a-z]+)+$/.test(operands)
    ? { kind: 'words', words: operands.split('|') }
    : { kind: 'files' };
}
