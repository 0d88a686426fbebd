/** Requests that were started and are not waited for until somebody asks. */
export class Background {
  readonly #running = new Set<Promise<void>>();

  /** @param request - handles its own failures */
  add(request: Promise<void>): void {
    this.#running.add(request);
    void request.finally(() => this.#running.delete(request));
  }

  /** Waits for all of them. */
  async drain(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.all(this.#running);
    }
  }
}
