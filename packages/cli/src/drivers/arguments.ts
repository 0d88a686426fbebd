/** A command line without what is only ours. */
export interface SplitArguments {
  /** The words that are left. */
  readonly words: readonly string[];
  /** Packages that `--driver PACKAGE` or `--driver=PACKAGE` names. */
  readonly drivers: readonly string[];
}

const OPTION = '--driver';

/** Takes `--driver` out of a command line, wherever it stands before `--`. */
export function splitDrivers(argv: readonly string[]): SplitArguments {
  const words: string[] = [];
  const drivers: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (word === '--') {
      words.push(...argv.slice(index));
      break;
    }
    if (word === OPTION) {
      index += 1;
      drivers.push(argv[index] ?? '');
    } else if (word.startsWith(`${OPTION}=`)) {
      drivers.push(word.slice(OPTION.length + 1));
    } else {
      words.push(word);
    }
  }
  return { words, drivers };
}
