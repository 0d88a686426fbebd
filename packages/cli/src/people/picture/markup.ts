import { plainText } from '../terminal/plain-text.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A text for use between tags or in an attribute, whatever is in it. Line feeds stay. */
export function escapeMarkup(text: string): string {
  return text
    .split('\n')
    .map((line) => plainText(line).replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? ''))
    .join('\n');
}

/** A number with two digits behind the point at most. */
export function coordinate(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/**
 * Shortens a text in its middle, so that the beginning and the end of a name can be told.
 *
 * @param room - columns; wide letters take two
 */
export function shorten(text: string, room: number): string {
  const letters = [...plainText(text)];
  if (widthOf(letters) <= room) {
    return letters.join('');
  }
  const head: string[] = [];
  const tail: string[] = [];
  // The end of a path says more than its beginning.
  while (letters.length > 0 && widthOf(head) + widthOf(tail) < room - 2) {
    const takeTail = widthOf(tail) <= 2 * widthOf(head);
    const letter = takeTail ? letters.pop() : letters.shift();
    if (letter !== undefined) {
      (takeTail ? tail : head).push(letter);
    }
  }
  return `${head.join('')}…${tail.reverse().join('')}`;
}

function widthOf(letters: readonly string[]): number {
  return letters.reduce((sum, letter) => sum + ((letter.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1), 0);
}
