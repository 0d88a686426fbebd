import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** A qemu-io that has an image open and is given commands. */
export class QemuIo {
  readonly #child: ChildProcessWithoutNullStreams;
  #output = '';
  #heard: () => void = () => undefined;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.#heard();
      });
    }
  }

  /** Starts one; done when it has opened the image. */
  static async open(
    path: string,
    format: string,
    launcher: readonly string[] = [],
  ): Promise<QemuIo> {
    const options = ['-t', 'writeback', '-d', 'unmap', '-f', format];
    const [program = '', ...args] = [...launcher, 'qemu-io', ...options, path];
    const io = new QemuIo(spawn(program, args));
    await io.run([]);
    return io;
  }

  /**
   * Runs commands, one after the other.
   *
   * @returns seconds
   */
  async run(commands: readonly string[]): Promise<number> {
    const start = process.hrtime.bigint();
    const answer = await this.#say(commands);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const failure = /^.*(?:failed|error).*$/im.exec(answer)?.[0];
    if (failure !== undefined) {
      throw new Error(`qemu-io: ${failure}`);
    }
    return seconds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end('quit\n');
    await closed;
  }

  /** Gives commands and waits until all are done: `length` answers last, with a number. */
  async #say(commands: readonly string[]): Promise<string> {
    this.#output = '';
    this.#child.stdin.write(`${[...commands, 'length'].join('\n')}\n`);
    for (;;) {
      const done = /(?:^|\s)[\d.]+ [KMGT]iB\s/.test(this.#output);
      if (done) {
        return this.#output;
      }
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }
}
