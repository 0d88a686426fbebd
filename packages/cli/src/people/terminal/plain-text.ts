/**
 * Control characters, and those that turn the direction of text around: in a name, they are either a mistake
 * or an attempt to have the reader's terminal do or show something else.
 */
const TREACHEROUS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\p{Cs}/gu;

/** A text of foreign origin on one line, with nothing in it that acts. */
export function plainText(text: string): string {
  return text.replace(TREACHEROUS, '\ufffd');
}

/** The same for texts of several lines, such as messages. */
export function plainLines(text: string): string {
  return text.split('\n').map(plainText).join('\n');
}
