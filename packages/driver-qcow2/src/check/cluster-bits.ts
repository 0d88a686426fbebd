/** Clusters of a page. */
const PAGE = 32768;

/** A set of host clusters by number: one bit each, in pages that come with their first member. */
export class ClusterBits {
  readonly #pages: (Uint8Array | undefined)[] = [];

  /** Whether a cluster is in the set. */
  has(cluster: number): boolean {
    const byte = this.#pages[Math.floor(cluster / PAGE)]?.[(cluster % PAGE) >>> 3] ?? 0;
    return ((byte >>> (cluster & 7)) & 1) === 1;
  }

  /** Takes a cluster in. */
  add(cluster: number): void {
    const index = Math.floor(cluster / PAGE);
    let page = this.#pages[index];
    if (page === undefined) {
      page = new Uint8Array(PAGE / 8);
      this.#pages[index] = page;
    }
    const at = (cluster % PAGE) >>> 3;
    page[at] = (page[at] ?? 0) | (1 << (cluster & 7));
  }

  /** Takes a cluster out. */
  delete(cluster: number): void {
    const page = this.#pages[Math.floor(cluster / PAGE)];
    if (page !== undefined) {
      const at = (cluster % PAGE) >>> 3;
      page[at] = (page[at] ?? 0) & ~(1 << (cluster & 7));
    }
  }
}
