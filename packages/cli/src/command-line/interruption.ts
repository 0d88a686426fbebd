import type { UnfinishedFiles } from './unfinished-files.js';

/** Time in ms in which signals count as one: some programs send them to a process and to its group. */
const ONE_SIGNAL = 500;

/** Exit codes of programs that a signal has ended, as shells tell them. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

type Signal = keyof typeof EXIT_CODES;

/**
 * Ctrl-C and its kin: the first ends what is under way and has it clean up, the second ends the process
 * there and then.
 */
export class Interruption {
  readonly #abort = new AbortController();
  readonly #unfinished: UnfinishedFiles;
  readonly #onLast: () => void;
  #first: Signal | undefined;
  #at = 0;

  /** @param onLast - called before the process is ended there and then */
  constructor(unfinished: UnfinishedFiles, onLast: () => void = () => undefined) {
    this.#unfinished = unfinished;
    this.#onLast = onLast;
  }

  /** Fires with the first signal. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The exit code because of a signal; undefined if there was none. */
  get exitCode(): number | undefined {
    return this.#first === undefined ? undefined : EXIT_CODES[this.#first];
  }

  /** Takes signals from now on. */
  listen(): void {
    process.on('SIGINT', () => this.#interrupt('SIGINT'));
    process.on('SIGTERM', () => this.#interrupt('SIGTERM'));
  }

  #interrupt(name: Signal): void {
    const now = performance.now();
    if (this.#first !== undefined && now - this.#at > ONE_SIGNAL) {
      this.#onLast();
      this.#unfinished.removeNow();
      process.exit(EXIT_CODES[this.#first]);
    }
    if (this.#first === undefined) {
      this.#first = name;
      this.#at = now;
      this.#abort.abort();
    }
  }
}
