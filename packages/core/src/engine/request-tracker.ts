import type { Awaitable } from '../bytes/index.js';

/**
 * How a request gets on with others that touch the same bytes. `shared` requests (reads, writes in
 * place) overlap freely; an `exclusive` one (allocating write, zeroing, discard) overlaps with none.
 */
export type RequestMode = 'shared' | 'exclusive';

/** A request under way or waiting for its turn. */
export class Request {
  #done: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  /** @internal Made by {@link RequestTracker.begin}. */
  constructor(
    /** First byte; changed by the tracker alone. */
    public start: number,
    /** Byte after the last; changed by the tracker alone. */
    public end: number,
    /** How it gets on with others; changed by the tracker alone. */
    public mode: RequestMode,
  ) {}

  /** Whether the two may not run at once. */
  conflictsWith(other: Request): boolean {
    return (
      (this.mode === 'exclusive' || other.mode === 'exclusive') &&
      this.start < other.end &&
      other.start < this.end
    );
  }

  /**
   * Resolves when this request ends or becomes less demanding.
   *
   * @throws never
   */
  changed(): Promise<void> {
    this.#done ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
    return this.#done;
  }

  /** Wakes those who wait for {@link changed}. */
  notify(): void {
    this.#resolve?.();
    this.#done = undefined;
    this.#resolve = undefined;
  }
}

/**
 * The requests on one disk, in order of arrival. A request waits for earlier ones that it conflicts
 * with and for no others, so nothing starves and requests to different clusters never meet.
 */
export class RequestTracker {
  readonly #requests = new Set<Request>();
  #exclusive = 0;

  /** Whether a shared request for these bytes could run at once, without registering. */
  isFree(start: number, end: number): boolean {
    if (this.#exclusive === 0) {
      return true;
    }
    for (const other of this.#requests) {
      if (other.mode === 'exclusive' && other.start < end && start < other.end) {
        return false;
      }
    }
    return true;
  }

  /**
   * Registers a request from now on; {@link ready} tells when it may run.
   *
   * @param start - first byte of the disk
   * @param end - byte behind the last
   */
  begin(start: number, end: number, mode: RequestMode): Request {
    const request = new Request(start, end, mode);
    this.#requests.add(request);
    if (mode === 'exclusive') {
      this.#exclusive += 1;
    }
    return request;
  }

  /**
   * Done when no earlier request conflicts any more.
   *
   * @throws never
   */
  ready(request: Request): Awaitable<void> {
    const conflict = this.#earlierConflict(request);
    return conflict === undefined ? undefined : this.#wait(request, conflict);
  }

  /** Lets later shared requests run beside this one from now on. */
  downgrade(request: Request): void {
    if (request.mode === 'exclusive') {
      request.mode = 'shared';
      this.#exclusive -= 1;
      request.notify();
    }
  }

  /**
   * Leaves what is outside these bytes to later requests from now on.
   *
   * @param start - not below the request's own
   * @param end - not above the request's own
   */
  narrow(request: Request, start: number, end: number): void {
    request.start = start;
    request.end = end;
    request.notify();
  }

  /** The request is over, well or badly. */
  end(request: Request): void {
    if (this.#requests.delete(request)) {
      if (request.mode === 'exclusive') {
        this.#exclusive -= 1;
      }
      request.notify();
    }
  }

  /**
   * Done when every request that is registered now, or joins meanwhile, has ended.
   *
   * @throws never
   */
  async drain(): Promise<void> {
    for (const request of this.#requests) {
      while (this.#requests.has(request)) {
        await request.changed();
      }
    }
  }

  async #wait(request: Request, first: Request): Promise<void> {
    for (let conflict: Request | undefined = first; conflict !== undefined; ) {
      await conflict.changed();
      conflict = this.#earlierConflict(request);
    }
  }

  #earlierConflict(request: Request): Request | undefined {
    for (const other of this.#requests) {
      if (other === request) {
        return undefined;
      }
      if (request.conflictsWith(other)) {
        return other;
      }
    }
    return undefined;
  }
}
