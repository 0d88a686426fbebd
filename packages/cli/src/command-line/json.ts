/** What can be printed as JSON; numbers beyond 2^53 as bigint. */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/**
 * JSON as qemu-img prints it: four spaces of indentation, everything on lines of its own, in the order of
 * the object.
 */
export function formatJson(value: JsonValue, indent = ''): string {
  if (typeof value === 'bigint') {
    return String(value);
  }
  if (typeof value !== 'object') {
    return JSON.stringify(value).replace(
      /[\u007f-\uffff]/g,
      (letter) => `\\u${letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
    );
  }
  const inner = `${indent}    `;
  if (isList(value)) {
    const items = value.map((item) => `${inner}${formatJson(item, inner)}`);
    return `[\n${items.join(',\n')}${items.length === 0 ? '' : '\n'}${indent}]`;
  }
  const members = Object.entries(value).flatMap(([name, member]) =>
    member === undefined ? [] : [`${inner}"${name}": ${formatJson(member, inner)}`],
  );
  return `{\n${members.join(',\n')}${members.length === 0 ? '' : '\n'}${indent}}`;
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}
