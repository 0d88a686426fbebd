const WIDTH = 16;
const LINES_AT_ONCE = 4096;

/** Bytes as lines of sixteen, in hexadecimal and as letters, in pieces of bounded length. */
export function* dump(bytes: Uint8Array, offset: bigint): Generator<string> {
  let lines = '';
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const part = bytes.subarray(at, at + WIDTH);
    const hex = Array.from(part, (byte) => `${byte.toString(16).padStart(2, '0')} `).join('');
    const letters = Array.from(part, letterOf).join('');
    const position = (offset + BigInt(at)).toString(16).padStart(8, '0');
    lines += `${position}:  ${hex} ${letters}\n`;
    if ((at / WIDTH) % LINES_AT_ONCE === LINES_AT_ONCE - 1) {
      yield lines;
      lines = '';
    }
  }
  yield lines;
}

/** What is no letter or digit is a dot. */
function letterOf(byte: number): string {
  const letter = String.fromCharCode(byte);
  return /[A-Za-z0-9]/.test(letter) ? letter : '.';
}
