/** An element of an option list: `name=value`, or a word alone. */
export interface ListedOption {
  readonly name: string;
  /** undefined for a word alone. */
  readonly value: string | undefined;
}

/**
 * Takes `a=b,c=d` apart. A comma within a value is written twice.
 */
export function parseOptionList(text: string): readonly ListedOption[] {
  return splitList(text).map((element) => {
    const equals = element.indexOf('=');
    return equals < 0
      ? { name: element, value: undefined }
      : { name: element.slice(0, equals), value: element.slice(equals + 1) };
  });
}

/** The elements of a list, with `,,` inside them as one comma. */
function splitList(text: string): readonly string[] {
  const elements: string[] = [];
  let element = '';
  for (let index = 0; index < text.length; index += 1) {
    const letter = text.charAt(index);
    if (letter !== ',') {
      element += letter;
    } else if (text.charAt(index + 1) === ',') {
      element += ',';
      index += 1;
    } else {
      elements.push(element);
      element = '';
    }
  }
  if (element !== '' || elements.length === 0) {
    elements.push(element);
  }
  return elements;
}

/** Whether a list asks for help instead of giving options. */
export function asksForHelp(text: string): boolean {
  return parseOptionList(text).some(
    ({ name, value }) => value === undefined && (name === 'help' || name === '?'),
  );
}

/** Whether several lists can be joined to one: none begins or ends with a comma, or is empty. */
export function isJoinable(text: string): boolean {
  if (text === '' || text.startsWith(',')) {
    return false;
  }
  const commas = /,*$/.exec(text)?.[0].length ?? 0;
  return commas % 2 === 0;
}

const ON = ['on', 'yes', 'true', 'y'];
const OFF = ['off', 'no', 'false', 'n'];

/** Whether a text is one of those that stand for on and off. */
export function isFlag(text: string): boolean {
  return ON.includes(text) || OFF.includes(text);
}

/** Whether such a text stands for on. */
export function isOn(text: string): boolean {
  return ON.includes(text);
}
