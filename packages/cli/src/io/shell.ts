import { complain, type Session } from '../command-line/session.js';
import { type IoCommand, usageOf } from './command.js';
import { CommandFailure, WrongUsage } from './command-failure.js';
import type { OpenedImage } from './opened-image.js';

/** Runs the commands of `lamella-io`, one after the other, on one open image. */
export class Shell {
  readonly session: Session;
  /** All that can be run, by name. */
  readonly commands: readonly IoCommand[];
  /** The image that commands work on. */
  image: OpenedImage | undefined;
  /** Set by `quit`: nothing more is run. */
  finished = false;

  constructor(session: Session, commands: readonly IoCommand[]) {
    this.session = session;
    this.commands = commands;
  }

  /** The command of that name. */
  find(name: string): IoCommand | undefined {
    return this.commands.find((command) => command.name === name || command.alias === name);
  }

  /**
   * Runs one line.
   *
   * @returns whether all went well
   */
  async run(line: string): Promise<boolean> {
    const [name, ...words] = line.split(' ').filter((word) => word !== '');
    if (name === undefined) {
      return true;
    }
    const command = this.find(name);
    if (command === undefined) {
      this.session.error(`command "${name}" not found\n`);
      return false;
    }
    try {
      await this.#run(command, name, words);
      return true;
    } catch (error) {
      if (!(error instanceof CommandFailure)) {
        throw error;
      }
      if (error instanceof WrongUsage) {
        this.session.out(usageOf(command, command.name));
      } else if (error.message !== '') {
        this.session[error.stream](`${error.message}\n`);
      }
      return false;
    }
  }

  /** Prints a warning in the way of the program. */
  readonly warn = (text: string): void => complain(this.session, `warning: ${text}`);

  /** Closes the image that is open, if any. */
  async close(): Promise<void> {
    const { image } = this;
    this.image = undefined;
    await image?.close();
  }

  async #run(command: IoCommand, name: string, words: readonly string[]): Promise<void> {
    if (command.needs === 'nothing') {
      assertCount(command, name, words.length);
      await command.run(this, words);
      return;
    }
    const { image } = this;
    if (image === undefined) {
      throw new CommandFailure("no file open, try 'help open'", 'error');
    }
    assertCount(command, name, words.length);
    if (command.needs === 'writable' && !image.writable) {
      throw new CommandFailure(`${this.session.name}: Block node is read-only`, 'error');
    }
    await command.run(this, words, image);
  }
}

function assertCount({ words: [min, max] }: IoCommand, name: string, count: number): void {
  if (count >= min && count <= (max ?? count)) {
    return;
  }
  const expected =
    max === undefined ? `at least ${min}` : max === min ? `${min}` : `between ${min} and ${max}`;
  throw new CommandFailure(
    `bad argument count ${count} to ${name}, expected ${expected} arguments`,
    'error',
  );
}
