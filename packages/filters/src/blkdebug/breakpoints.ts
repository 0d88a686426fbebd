import type { BlkdebugEvent } from './events.js';

/** Hears of requests that stop at breakpoints. */
export interface BreakpointListener {
  /** A request stopped. */
  suspended(tag: string): void;
  /** A stopped request is about to go on. */
  resumed(tag: string): void;
}

/** A request that waits at a breakpoint. */
interface Stopped {
  readonly tag: string;
  readonly goOn: () => void;
}

/** Stops requests at events until somebody lets them go on. */
export class Breakpoints {
  /** Hears of what happens; nobody by default. */
  listener: BreakpointListener | undefined;
  readonly #set: { readonly event: BlkdebugEvent; readonly tag: string }[] = [];
  readonly #stopped: Stopped[] = [];
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Stops the next request that comes to an event. */
  add(event: BlkdebugEvent, tag: string): void {
    this.#set.push({ event, tag });
  }

  /**
   * A request comes to an event.
   *
   * @returns what the request has to wait for, undefined for nothing
   */
  reach(event: BlkdebugEvent): Promise<void> | undefined {
    const index = this.#set.findIndex((breakpoint) => breakpoint.event === event);
    const [breakpoint] = index < 0 ? [] : this.#set.splice(index, 1);
    if (breakpoint === undefined) {
      return undefined;
    }
    const { tag } = breakpoint;
    return new Promise((goOn) => {
      this.#stopped.push({ tag, goOn });
      this.listener?.suspended(tag);
      for (const wake of this.#waiting.get(tag) ?? []) {
        wake();
      }
      this.#waiting.delete(tag);
    });
  }

  /**
   * Resolves when a request stands at a breakpoint of that tag.
   *
   * @throws never; it may wait for ever
   */
  async waitFor(tag: string): Promise<void> {
    if (!this.#stopped.some((stopped) => stopped.tag === tag)) {
      await new Promise<void>((wake) => {
        this.#waiting.set(tag, [...(this.#waiting.get(tag) ?? []), wake]);
      });
    }
  }

  /**
   * Lets the request of that tag go on.
   *
   * @returns whether there was one
   */
  resume(tag: string): boolean {
    const index = this.#stopped.findIndex((stopped) => stopped.tag === tag);
    const [stopped] = index < 0 ? [] : this.#stopped.splice(index, 1);
    if (stopped === undefined) {
      return false;
    }
    this.listener?.resumed(tag);
    stopped.goOn();
    return true;
  }

  /**
   * Takes the breakpoints of that tag away and lets their requests go on.
   *
   * @returns whether there were any
   */
  remove(tag: string): boolean {
    let found = false;
    for (let index = this.#set.length - 1; index >= 0; index -= 1) {
      if (this.#set[index]?.tag === tag) {
        this.#set.splice(index, 1);
        found = true;
      }
    }
    while (this.resume(tag)) {
      found = true;
    }
    return found;
  }
}
