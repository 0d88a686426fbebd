import type { SingleBar } from 'cli-progress';
import type { Progress } from 'lamella';
import type { ProgressDisplay, Task } from '../../command-line/session.js';
import type { Colours } from '../terminal/colours.js';
import { barText } from './bar-text.js';
import { RateMeter } from './rate-meter.js';
import { type BarStream, BarTerminal } from './terminal.js';

/** Milliseconds that an operation may take without a bar: one that only flashes up disturbs. */
const PATIENCE = 150;

/** Redraws a second. */
const FPS = 10;

/** The library that draws bars; loaded only where there is a terminal. */
export interface BarLibrary {
  readonly SingleBar: typeof SingleBar;
}

/** The progress bars of a program, one after the other, and what is printed between them. */
export class ProgressBars {
  readonly #library: BarLibrary;
  readonly #terminal: BarTerminal;
  readonly #colours: Colours;
  #shown: Bar | undefined;

  constructor(library: BarLibrary, stream: BarStream, colours: Colours) {
    this.#library = library;
    this.#terminal = new BarTerminal(stream);
    this.#colours = colours;
  }

  /** For a task that begins. */
  start(task: Task): ProgressDisplay {
    const bar = new Bar(task, this.#library, this.#terminal, this.#colours, (active) => {
      this.#shown = active ? bar : undefined;
    });
    return bar;
  }

  /** Makes room for a text on the terminal; the bar is drawn again below it. */
  clear(): void {
    if (this.#shown !== undefined) {
      this.#terminal.clearWhole();
    }
  }

  /** Ends the bar that is shown, if there is one, for a program that ends. */
  stop(): void {
    this.#shown?.end();
  }
}

class Bar implements ProgressDisplay {
  readonly #task: Task;
  readonly #bar: SingleBar;
  readonly #began = performance.now();
  readonly #meter: RateMeter;
  readonly #onShown: (shown: boolean) => void;
  #done = 0;
  #total = 0;
  #shown = false;
  #ended = false;

  constructor(
    task: Task,
    library: BarLibrary,
    terminal: BarTerminal,
    colours: Colours,
    onShown: (shown: boolean) => void,
  ) {
    this.#task = task;
    this.#onShown = onShown;
    this.#meter = new RateMeter(0);
    const options = {
      terminal,
      stream: terminal.stream,
      fps: FPS,
      hideCursor: true,
      // A text may have been printed over it.
      forceRedraw: true,
      // The program has handlers of its own.
      gracefulExit: false,
      format: () => barText(this.#state(), terminal.getWidth(), colours),
    };
    this.#bar = new library.SingleBar(options);
  }

  readonly update = ({ done, total }: Progress): void => {
    // Work that goes on in several places at once is told out of order.
    this.#done = total === this.#total ? Math.max(this.#done, done) : done;
    this.#total = total;
    const now = performance.now() - this.#began;
    this.#meter.add(now / 1000, this.#done);
    if (!this.#shown && !this.#ended && now >= PATIENCE) {
      this.#show();
    }
    if (this.#shown) {
      this.#bar.update(this.#done);
    }
  };

  finish(): void {
    this.#done = this.#total;
    this.end();
  }

  end(): void {
    this.#ended = true;
    if (this.#shown) {
      this.#shown = false;
      this.#bar.stop();
      this.#onShown(false);
    }
  }

  #show(): void {
    this.#shown = true;
    this.#onShown(true);
    this.#bar.start(this.#total, this.#done);
  }

  #state() {
    const elapsed = (performance.now() - this.#began) / 1000;
    const rate = this.#ended ? this.#done / elapsed : this.#meter.rate(elapsed);
    return {
      task: this.#task,
      share: this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total),
      done: this.#done,
      total: this.#total,
      rate,
      left: rate > 0 ? (this.#total - this.#done) / rate : undefined,
      elapsed,
      ended: this.#ended,
    };
  }
}
