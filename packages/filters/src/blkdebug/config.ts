import { LamellaError } from '@lamella/core';

/** A section of a configuration file: its name, and what stands in it. */
export interface Section {
  readonly name: string;
  readonly values: ReadonlyMap<string, string>;
}

const SECTION = /^\s*\[\s*([^\]\s"]+)(?:\s+"[^"]*")?\s*\]/;
const VALUE = /^\s*(\S+)\s*=\s*"([^"]*)"/;

/**
 * Reads a configuration file: sections `[name]` of lines `key = "value"`, comments from `#` on.
 *
 * @param location - for messages
 * @throws LamellaError `INVALID_ARGUMENT`
 */
export function parseConfig(text: string, location: string): readonly Section[] {
  const sections: { name: string; values: Map<string, string> }[] = [];
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) {
      continue;
    }
    const [, name] = SECTION.exec(line) ?? [];
    if (name !== undefined) {
      sections.push({ name, values: new Map() });
      continue;
    }
    const section = sections.at(-1);
    const [, key, value] = VALUE.exec(line) ?? [];
    if (section === undefined || key === undefined || value === undefined) {
      throw new LamellaError(
        'INVALID_ARGUMENT',
        section === undefined ? 'no group defined' : 'parse error',
        { location },
      );
    }
    section.values.set(key, value);
  }
  return sections;
}
