/** An option of a command line, as `getopt_long` knows them. */
export interface GetoptOption {
  /** Single letter, without the dash. */
  readonly short?: string | undefined;
  /** Long name, without the dashes. */
  readonly long?: string | undefined;
  /** Whether an argument follows. */
  readonly takesValue: boolean;
}

/** What stands next on the command line. */
export type GetoptResult<T> =
  | { readonly kind: 'option'; readonly option: T; readonly value: string }
  | {
      readonly kind: 'unknown' | 'no-value';
      /** The word that `getopt_long` would point to, which is what programs print. */
      readonly text: string;
      /** What `getopt_long` itself would print behind the program's name. */
      readonly message: string;
    };

/**
 * Goes through a command line as GNU `getopt_long` does with an option string that begins with `:`:
 * letters in one word, values in the same or the next word, long names cut short as far as they are
 * unambiguous, operands anywhere (they are moved behind the options), `--` as the end.
 *
 * Programs print the word before the place where the scan stands when something is wrong, and that place
 * depends on how operands were moved; so they are moved here, too.
 */
export class Getopt<T extends GetoptOption> {
  readonly #words: string[];
  readonly #options: readonly T[];
  /** The word to look at next. */
  #next = 0;
  /** Operands passed over so far stand in `[#firstOperand, #lastOperand)`. */
  #firstOperand = 0;
  #lastOperand = 0;
  /** Letters left of the word at `#next`. */
  #letters = '';

  /**
   * @param words - the command line without the program's own name
   * @param options - in no particular order
   */
  constructor(words: readonly string[], options: readonly T[]) {
    this.#words = [...words];
    this.#options = options;
  }

  /** The words that are no options; complete once {@link Getopt.next} returned undefined. */
  get operands(): readonly string[] {
    return this.#words.slice(this.#next);
  }

  /** The next option or mistake; undefined when only operands are left. */
  next(): GetoptResult<T> | undefined {
    if (this.#letters !== '') {
      return this.#letter();
    }
    this.#skipOperands();
    const word = this.#words[this.#next];
    if (word === '--') {
      this.#next += 1;
      this.#gatherOperands();
      this.#lastOperand = this.#words.length;
      this.#next = this.#words.length;
    }
    if (word === undefined || this.#next === this.#words.length) {
      this.#next = this.#firstOperand === this.#lastOperand ? this.#next : this.#firstOperand;
      return undefined;
    }
    if (word.startsWith('--') && this.#options.some(({ long }) => long !== undefined)) {
      return this.#long(word.slice(2));
    }
    this.#letters = word.slice(1);
    return this.#letter();
  }

  #skipOperands(): void {
    this.#gatherOperands();
    while (isOperand(this.#words[this.#next])) {
      this.#next += 1;
    }
    this.#lastOperand = this.#next;
  }

  /** Moves options that were just read before the operands that were passed over earlier. */
  #gatherOperands(): void {
    const operands = this.#lastOperand - this.#firstOperand;
    const options = this.#next - this.#lastOperand;
    if (operands === 0) {
      this.#firstOperand = this.#next;
    } else if (options > 0) {
      const moved = this.#words.splice(this.#firstOperand, operands);
      this.#words.splice(this.#next - operands, 0, ...moved);
      this.#firstOperand += options;
    }
    this.#lastOperand = this.#next;
  }

  #letter(): GetoptResult<T> {
    const letter = this.#letters.charAt(0);
    this.#letters = this.#letters.slice(1);
    const option = this.#options.find(({ short }) => short === letter);
    if (this.#letters === '') {
      this.#next += 1;
    }
    if (option === undefined) {
      return this.#mistake('unknown', `invalid option -- '${letter}'`);
    }
    if (!option.takesValue) {
      return { kind: 'option', option, value: '' };
    }
    if (this.#letters !== '') {
      const value = this.#letters;
      this.#letters = '';
      this.#next += 1;
      return { kind: 'option', option, value };
    }
    return this.#valueInNextWord(option, `option requires an argument -- '${letter}'`);
  }

  #long(text: string): GetoptResult<T> {
    this.#next += 1;
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    const [option, ...others] = this.#find(name);
    if (option === undefined) {
      return this.#mistake('unknown', `unrecognized option '--${text}'`);
    }
    if (others.length > 0) {
      const names = [option, ...others].map(({ long }) => ` '--${long}'`).join('');
      return this.#mistake('unknown', `option '--${text}' is ambiguous; possibilities:${names}`);
    }
    if (equals >= 0 && !option.takesValue) {
      return this.#mistake('unknown', `option '--${option.long}' doesn't allow an argument`);
    }
    if (!option.takesValue) {
      return { kind: 'option', option, value: '' };
    }
    return equals < 0
      ? this.#valueInNextWord(option, `option '--${option.long}' requires an argument`)
      : { kind: 'option', option, value: text.slice(equals + 1) };
  }

  /** The option of that name, or all whose names begin so. */
  #find(name: string): readonly T[] {
    const exact = this.#options.find(({ long }) => long === name);
    return exact === undefined
      ? this.#options.filter(({ long }) => long?.startsWith(name))
      : [exact];
  }

  #valueInNextWord(option: T, message: string): GetoptResult<T> {
    const value = this.#words[this.#next];
    if (value === undefined) {
      return this.#mistake('no-value', message);
    }
    this.#next += 1;
    return { kind: 'option', option, value };
  }

  #mistake(kind: 'unknown' | 'no-value', message: string): GetoptResult<T> {
    return { kind, text: this.#words[this.#next - 1] ?? '', message };
  }
}

/** A lone `-` is an operand, too. */
function isOperand(word: string | undefined): boolean {
  return word !== undefined && (!word.startsWith('-') || word === '-');
}
