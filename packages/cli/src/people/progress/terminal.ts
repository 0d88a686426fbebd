/** What a bar is drawn on: standard error. */
export type BarStream = NodeJS.WritableStream & { readonly columns?: number | undefined };

/**
 * A terminal as cli-progress drives it. Its own one remembers the cursor's place on the screen when a bar
 * begins and goes back there when it ends, which is somewhere else once the screen has scrolled.
 */
export class BarTerminal {
  readonly stream: BarStream;

  constructor(stream: BarStream) {
    this.stream = stream;
  }

  cursorSave(): void {}

  cursorRestore(): void {}

  cursor(enabled: boolean): void {
    this.stream.write(enabled ? '\u001b[?25h' : '\u001b[?25l');
  }

  lineWrapping(enabled: boolean): void {
    this.stream.write(enabled ? '\u001b[?7h' : '\u001b[?7l');
  }

  cursorTo(): void {
    this.stream.write('\r');
  }

  clearRight(): void {
    this.stream.write('\u001b[K');
  }

  clearLine(): void {
    this.stream.write('\u001b[2K');
  }

  newline(): void {
    this.stream.write('\n');
  }

  write(text: string): void {
    this.stream.write(text);
  }

  /** Empties the line and goes to its beginning. */
  clearWhole(): void {
    this.cursorTo();
    this.clearLine();
  }

  isTTY(): boolean {
    return true;
  }

  getWidth(): number {
    // A terminal that nobody has told its size has none.
    const { columns = 0 } = this.stream;
    return columns > 0 ? columns : 80;
  }
}
