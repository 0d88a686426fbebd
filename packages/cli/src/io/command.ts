import { Getopt, type GetoptOption } from '../command-line/getopt.js';
import { WrongUsage } from './command-failure.js';
import type { OpenedImage } from './opened-image.js';
import type { Shell } from './shell.js';

/** What every command of the shell says of itself. */
interface Described {
  readonly name: string;
  /** Another name for it. */
  readonly alias?: string;
  /** Options and operands, for the usage; undefined for none. */
  readonly synopsis?: string;
  readonly summary: string;
  /** What `help NAME` adds. */
  readonly manual?: string;
  /** Fewest and most words behind the name; no limit without a second number. */
  readonly words: readonly [min: number, max?: number];
}

/** A command that needs no open image. */
export interface PlainCommand extends Described {
  readonly needs: 'nothing';
  /** @throws CommandFailure */
  run(shell: Shell, words: readonly string[]): Promise<void> | void;
}

/** A command that works on the open image, which has to be writable for some. */
export interface ImageCommand extends Described {
  readonly needs: 'image' | 'writable';
  /** @throws CommandFailure */
  run(shell: Shell, words: readonly string[], image: OpenedImage): Promise<void> | void;
}

export type IoCommand = PlainCommand | ImageCommand;

/** The usage line of a command under one of its names. */
export function usageOf({ synopsis, summary }: IoCommand, name: string): string {
  return `${name}${synopsis === undefined ? '' : ` ${synopsis}`} -- ${summary}\n`;
}

/** Options of a command line, and what is left of it. */
export interface CommandLine {
  /** Letters that were given. */
  has(letter: string): boolean;
  /** Last value of a letter that takes one. */
  value(letter: string): string | undefined;
  readonly operands: readonly string[];
}

/**
 * Takes a command's options apart.
 *
 * @param letters - options as `getopt` has them: `CP:qv`
 * @param name - begins messages
 * @throws WrongUsage
 */
export function readCommandLine(
  shell: Shell,
  name: string,
  words: readonly string[],
  letters: string,
  each: (letter: string, value: string) => void = () => undefined,
): CommandLine {
  const options = [...letters.matchAll(/(\w)(:?)/g)].map(
    ([, short, colon]): GetoptOption => ({ short, takesValue: colon === ':' }),
  );
  const getopt = new Getopt(words, options);
  const values = new Map<string, string>();
  for (let next = getopt.next(); next !== undefined; next = getopt.next()) {
    if (next.kind !== 'option') {
      shell.session.error(`${name}: ${next.message}\n`);
      throw new WrongUsage();
    }
    const letter = next.option.short ?? '';
    each(letter, next.value);
    values.set(letter, next.value);
  }
  return {
    has: (letter) => values.has(letter),
    value: (letter) => values.get(letter),
    operands: getopt.operands,
  };
}
