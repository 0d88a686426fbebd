import { createDecipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { strerrorOf } from '../messages/errno.js';
import { Failure } from './failure.js';
import { type ListedOption, parseOptionList } from './option-list.js';

const KEYS = new Set(['qom-type', 'id', 'data', 'file', 'format', 'keyid', 'iv', 'loaded']);
const KEY_LENGTH = 32;
const IV_LENGTH = 16;

/** The secrets that `--object secret,…` defined, by their identifiers. */
export class Secrets {
  readonly #values = new Map<string, Uint8Array>();

  /**
   * Takes one definition in: `secret,id=ID,data=TEXT|file=PATH[,format=raw|base64][,keyid=ID,iv=BASE64]`, or
   * the same as a JSON object.
   *
   * @throws Failure
   */
  define(text: string): void {
    const values = text.startsWith('{') ? fromJson(text) : fromList(text);
    const type = values.get('qom-type') ?? '';
    if (type !== 'secret') {
      throw new Failure(`Parameter 'qom-type' does not accept value '${type}'`);
    }
    const id = values.get('id');
    if (id === undefined) {
      throw new Failure("Parameter 'id' is missing");
    }
    if (!/^[a-z][a-z0-9._-]*$/i.test(id)) {
      throw new Failure(
        "Parameter 'id' expects an identifier\n" +
          "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
      );
    }
    for (const key of values.keys()) {
      if (!KEYS.has(key)) {
        throw new Failure(`Parameter '${key}' is unexpected`);
      }
    }
    const secret = this.#load(values);
    if (this.#values.has(id)) {
      throw new Failure(`attempt to add duplicate property '${id}' to object (type 'container')`);
    }
    this.#values.set(id, secret);
  }

  /**
   * The secret of that name.
   *
   * @throws Failure when there is none
   */
  get(id: string): Uint8Array {
    const secret = this.#values.get(id);
    if (secret === undefined) {
      throw new Failure(`No secret with id '${id}'`);
    }
    return secret;
  }

  #load(values: ReadonlyMap<string, string>): Uint8Array {
    const format = values.get('format') ?? 'raw';
    if (format !== 'raw' && format !== 'base64') {
      throw new Failure(`Parameter 'format' does not accept value '${format}'`);
    }
    const stored = readValue(values);
    const keyId = values.get('keyid');
    if (keyId !== undefined) {
      return this.#decipher(stored, keyId, values.get('iv'));
    }
    return format === 'base64' ? fromBase64(stored.toString('latin1')) : stored;
  }

  /** A secret that lies enciphered in the definition, under another secret as the key. */
  #decipher(stored: Buffer, keyId: string, iv: string | undefined): Uint8Array {
    const key = this.get(keyId);
    if (key.length !== KEY_LENGTH) {
      throw new Failure(`Key should be ${KEY_LENGTH} bytes in length`);
    }
    if (iv === undefined) {
      throw new Failure('IV is required to decrypt secret');
    }
    const vector = fromBase64(iv);
    if (vector.length !== IV_LENGTH) {
      throw new Failure(`IV should be ${IV_LENGTH} bytes in length not ${vector.length}`);
    }
    const decipher = createDecipheriv('aes-256-cbc', key, vector);
    try {
      const bytes = fromBase64(stored.toString('latin1'));
      return Buffer.concat([decipher.update(bytes), decipher.final()]);
    } catch {
      throw new Failure('Incorrect number of padding bytes found on decrypted data');
    }
  }
}

function readValue(values: ReadonlyMap<string, string>): Buffer {
  const file = values.get('file');
  const data = values.get('data');
  if (file !== undefined && data !== undefined) {
    throw new Failure("'file' and 'data' are mutually exclusive");
  }
  if (file !== undefined) {
    try {
      return readFileSync(file);
    } catch (error) {
      throw new Failure(
        `Unable to read ${file}: Failed to open file “${file}”: ${strerrorOf(error) ?? String(error)}`,
      );
    }
  }
  if (data === undefined) {
    throw new Failure("Either 'file' or 'data' must be provided");
  }
  return Buffer.from(data);
}

function fromBase64(text: string): Uint8Array {
  const compact = text.replace(/\s/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) {
    throw new Failure(`Base64 data '${text}' is not valid`);
  }
  return Buffer.from(compact, 'base64');
}

function fromList(text: string): ReadonlyMap<string, string> {
  const [type, ...rest] = parseOptionList(text);
  return new Map([['qom-type', typeName(type)], ...rest.map(namedValue)]);
}

function typeName(first: ListedOption | undefined): string {
  return first?.name === 'qom-type' || first?.value === undefined
    ? (first?.value ?? first?.name ?? '')
    : first.name;
}

function namedValue({ name, value }: ListedOption): [string, string] {
  return [name, value ?? 'on'];
}

function fromJson(text: string): ReadonlyMap<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Failure('JSON parse error, invalid object definition');
  }
  const values = new Map<string, string>();
  if (typeof parsed === 'object' && parsed !== null) {
    for (const [key, value] of Object.entries(parsed)) {
      values.set(key, String(value));
    }
  }
  return values;
}
