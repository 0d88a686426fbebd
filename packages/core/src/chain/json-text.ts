/** A value of a `json:` name. Objects have no prototype: a key is a key, whatever it is called. */
export type JsonNameValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonNameValue[]
  | { readonly [key: string]: JsonNameValue };

/** What is wrong with the text, in the words that QEMU has for it. */
export class JsonTextError extends Error {
  /** Always `JsonTextError`. */
  override readonly name = 'JsonTextError';
}

interface Token {
  readonly kind: 'mark' | 'text' | 'number' | 'word';
  readonly text: string;
}

const TOKEN =
  /[ \t\r\n]*(?:(?<mark>[{}[\],:])|(?<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\d.eE])|(?<word>[a-z]+))/sy;
/** The beginning of what would be a number, or one letter. */
const STRAY = /\s*(['"].*|-?0\d|-?\d*\.?\d*(?:[eE][-+]?)?.?)/sy;
/** Deepest nesting; nothing that a name says is deeper than a few levels for each image of a chain. */
const MAX_DEPTH = 64;
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['"', '"'],
  ["'", "'"],
  ['\\', '\\'],
  ['/', '/'],
]);

/**
 * Reads the text behind `json:` as QEMU does: JSON, with texts in single quotes as well, and no key twice.
 *
 * @throws JsonTextError
 */
export function parseJsonText(text: string): JsonNameValue {
  const { tokens, end } = firstValue(text);
  if (tokens.length === 0) {
    throw new JsonTextError('Expecting a JSON value');
  }
  const reader = new TokenReader(tokens);
  const value = reader.value(0);
  if (reader.left || text.slice(end).trim() !== '') {
    throw new JsonTextError('Expecting at most one JSON value');
  }
  return value;
}

/** The tokens up to where every bracket is closed. */
function firstValue(text: string): { readonly tokens: readonly Token[]; readonly end: number } {
  const tokens: Token[] = [];
  let open = 0;
  let end = 0;
  do {
    TOKEN.lastIndex = end;
    const match = TOKEN.exec(text);
    if (match === null) {
      if (text.slice(end).trim() === '') {
        break;
      }
      STRAY.lastIndex = end;
      throw wrong(`stray '${STRAY.exec(text)?.[1] ?? ''}'`);
    }
    end = TOKEN.lastIndex;
    const { mark, text: quoted, number, word } = match.groups ?? {};
    const kind =
      mark !== undefined
        ? 'mark'
        : quoted !== undefined
          ? 'text'
          : number !== undefined
            ? 'number'
            : 'word';
    tokens.push({ kind, text: mark ?? quoted ?? number ?? word ?? '' });
    open += mark === '{' || mark === '[' ? 1 : mark === '}' || mark === ']' ? -1 : 0;
  } while (open > 0);
  return { tokens, end };
}

class TokenReader {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get left(): boolean {
    return this.#next < this.#tokens.length;
  }

  value(depth: number): JsonNameValue {
    const { kind, text } = this.#take();
    if (depth > MAX_DEPTH) {
      throw wrong('nested too deep');
    }
    switch (kind) {
      case 'text':
        return unquoted(text);
      case 'number':
        return Number(text);
      case 'word':
        return word(text);
      default:
        if (text === '{') {
          return this.#object(depth);
        }
        if (text === '[') {
          return this.#list(depth);
        }
        throw wrong('expecting value');
    }
  }

  #object(depth: number): JsonNameValue {
    const object: Record<string, JsonNameValue> = Object.create(null);
    if (this.#peek().text === '}') {
      this.#take();
      return object;
    }
    for (;;) {
      const key = this.value(depth + 1);
      if (typeof key !== 'string') {
        throw wrong('key is not a string in object');
      }
      if (this.#take().text !== ':') {
        throw wrong('missing : in object pair');
      }
      const value = this.value(depth + 1);
      if (key in object) {
        throw wrong('duplicate key');
      }
      object[key] = value;
      const mark = this.#take();
      if (isMark(mark, '}')) {
        return object;
      }
      if (!isMark(mark, ',')) {
        throw wrong('expected separator in dict');
      }
    }
  }

  #list(depth: number): JsonNameValue {
    const list: JsonNameValue[] = [];
    if (isMark(this.#peek(), ']')) {
      this.#take();
      return list;
    }
    for (;;) {
      list.push(this.value(depth + 1));
      const mark = this.#take();
      if (isMark(mark, ']')) {
        return list;
      }
      if (!isMark(mark, ',')) {
        throw wrong('expected separator in list');
      }
    }
  }

  #peek(): Token {
    const token = this.#tokens[this.#next];
    if (token === undefined) {
      throw wrong('premature EOI');
    }
    return token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }
}

function isMark({ kind, text }: Token, mark: string): boolean {
  return kind === 'mark' && text === mark;
}

function word(text: string): JsonNameValue {
  switch (text) {
    case 'true':
      return true;
    case 'false':
      return false;
    case 'null':
      return null;
    default:
      throw wrong(`invalid keyword '${text}'`);
  }
}

function unquoted(text: string): string {
  return text.slice(1, -1).replace(/\\(u.{0,4}|.)/gs, (_all, code: string) => {
    if (!code.startsWith('u')) {
      const letter = ESCAPES.get(code);
      if (letter === undefined) {
        throw wrong('invalid escape sequence in string');
      }
      return letter;
    }
    const digits = code.slice(1);
    if (!/^[0-9a-f]{4}$/i.test(digits) || digits === '0000') {
      throw wrong(`\\u${digits} is not a valid Unicode character`);
    }
    return String.fromCharCode(Number.parseInt(digits, 16));
  });
}

function wrong(what: string): JsonTextError {
  return new JsonTextError(`JSON parse error, ${what}`);
}
