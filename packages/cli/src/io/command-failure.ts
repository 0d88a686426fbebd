/** A command that can't do what was asked. The shell prints why and goes on with the next command. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';

  /**
   * @param message - printed as a line of its own; nothing at all for an empty text
   * @param stream - where to; standard output, as most commands do
   */
  constructor(
    message: string,
    readonly stream: 'out' | 'error' = 'out',
  ) {
    super(message);
  }
}

/** The command line of a command was wrong: its usage is printed. */
export class WrongUsage extends CommandFailure {
  constructor() {
    super('');
  }
}
