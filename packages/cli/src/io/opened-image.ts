import { alignDown, alignUp, type CacheMode, type Disk } from 'lamella';
import { Background } from './background.js';

/** How an image was asked for. */
export interface OpenRequest {
  /** File name or `json:` name; undefined when options alone say what to open. */
  readonly path: string | undefined;
  /** Format that was given with it. */
  readonly format: string | undefined;
  /** Options as `name=value,…`. */
  readonly options: string | undefined;
  readonly writable: boolean;
  /** Changes go to a layer in memory that is dropped in the end. */
  readonly snapshot: boolean;
  readonly copyOnRead: boolean;
  readonly cache: CacheMode;
  readonly forceShare: boolean;
  /** Whether discards do anything. */
  readonly discards: boolean;
  /** The kernel's asynchronous I/O was asked for, which wants to go past the page cache. */
  readonly nativeAio: boolean;
}

/** The image that commands work on. */
export class OpenedImage {
  readonly request: OpenRequest;
  readonly disk: Disk;
  /** Requests that were started and not waited for. */
  readonly background = new Background();
  readonly #below: Disk | undefined;

  /**
   * @param below - closed after the disk
   */
  constructor(request: OpenRequest, disk: Disk, below?: Disk) {
    this.request = request;
    this.disk = disk;
    this.#below = below;
  }

  /** The same disk under other conditions. */
  as(request: OpenRequest): OpenedImage {
    return new OpenedImage(request, this.disk, this.#below);
  }

  /** Whether commands may write. */
  get writable(): boolean {
    return this.request.writable;
  }

  /** Whether each change is to be durable before its command ends. */
  get writeThrough(): boolean {
    const { cache } = this.request;
    return cache === 'writethrough' || cache === 'directsync';
  }

  /** Ends a change: durable now if `-f` or the cache mode want it. */
  async settle(forced = false): Promise<void> {
    if (forced || this.writeThrough) {
      await this.flush();
    }
  }

  /** @throws LamellaError as `Disk.flush` */
  async flush(): Promise<void> {
    if (this.request.cache !== 'unsafe') {
      await this.disk.flush();
    }
  }

  /** To be called before the guest's data are read: keeps what comes from lower layers, if that is wanted. */
  async beforeRead(offset: number, length: number): Promise<void> {
    if (this.request.copyOnRead && this.disk.isWritable && length > 0) {
      const [top] = this.disk.openLayers;
      const unit = top.image.clusterSize;
      const start = alignDown(offset, unit);
      const end = Math.min(alignUp(offset + length, unit), this.disk.size);
      await this.disk.copyUp(start, end - start);
    }
  }

  /** Waits for what is under way and closes. */
  async close(): Promise<void> {
    await this.background.drain();
    try {
      await this.disk.close();
    } finally {
      await this.#below?.close();
    }
  }
}
