import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { qemuImg, qemuIo } from './qemu.js';

const WRITES = [
  'write -P 1 0 64k',
  'write -P 2 4M 16k',
  'write -z 1M 16k',
  'write -P 9 512k 8k',
  'write -z 512k 4k',
];

interface Recipe {
  /** Options of qemu-img; `@` stands for the directory. */
  readonly options: string;
  readonly size?: string;
  readonly make?: (path: string) => void;
}

function written(...commands: string[]) {
  return (path: string) => void qemuIo(path, ...commands);
}

const RECIPES = {
  plain: { options: 'cluster_size=4k', make: written(...WRITES) },
  preallocated: { options: 'cluster_size=4k,preallocation=metadata', size: '1M' },
  v2: {
    options: 'cluster_size=4k,compat=0.10',
    make: written('write -P 1 0 64k', 'write -P 2 4M 16k'),
  },
  large: { options: 'cluster_size=64k', size: '64M', make: written('write -P 3 0 640k') },
  many: {
    options: 'cluster_size=512,refcount_bits=64',
    size: '1M',
    make: written('write -P 4 0 100k', 'write -P 5 512k 30k'),
  },
  extended: {
    options: 'cluster_size=16k,extended_l2=on',
    make: written('write -P 1 0 64k', 'write -P 2 100k 2k', 'write -z 128k 16k'),
  },
  compressed: {
    options: 'cluster_size=4k',
    make: (path: string) => {
      qemuIo(path, 'write -P 1 0 64k', 'write -P 7 1M 20k');
      qemuImg('convert', '-c', '-O', 'qcow2', '-o', 'cluster_size=4k', path, `${path}.c`);
      qemuImg('convert', '-c', '-O', 'qcow2', '-o', 'cluster_size=4k', `${path}.c`, path);
    },
  },
  snapshots: {
    options: 'cluster_size=4k',
    make: (path: string) => {
      qemuIo(path, ...WRITES);
      qemuImg('snapshot', '-c', 'one', path);
      qemuIo(path, 'write -P 5 16k 16k', 'write -P 6 2M 8k');
      qemuImg('snapshot', '-c', 'two', path);
      qemuIo(path, 'write -P 7 0 4k');
    },
  },
  bitmaps: {
    options: 'cluster_size=4k',
    make: (path: string) => {
      qemuIo(path, ...WRITES);
      qemuImg('bitmap', '--add', '-g', '4k', path, 'first');
      qemuImg('bitmap', '--add', '-g', '64k', path, 'second');
      qemuIo(path, 'write -P 8 32k 8k');
    },
  },
  dataFile: { options: 'cluster_size=4k,data_file=@data', make: written(...WRITES) },
  extendedDataFile: {
    options: 'cluster_size=16k,extended_l2=on,data_file=@extended-data',
    make: written('write -P 1 0 64k', 'write -P 2 100k 2k', 'write -z 128k 16k'),
  },
  rawDataFile: {
    options: 'cluster_size=4k,data_file=@raw-data,data_file_raw=on',
    size: '1M',
    make: written('write -P 1 0 64k', 'write -z 128k 16k'),
  },
  bits1: { options: 'cluster_size=4k,refcount_bits=1', make: written(...WRITES) },
  bits8: { options: 'cluster_size=4k,refcount_bits=8', make: written(...WRITES) },
  lazy: { options: 'cluster_size=4k,lazy_refcounts=on', make: written(...WRITES) },
} satisfies Record<string, Recipe>;

/** Name of an image to damage. */
export type BaseName = keyof typeof RECIPES;

/** Makes the images to damage, each once. */
export class BaseImages {
  readonly #directory: string;
  readonly #made = new Map<BaseName, Buffer>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  get(name: BaseName): Buffer {
    const made = this.#made.get(name);
    if (made !== undefined) {
      return made;
    }
    const recipe: Recipe = RECIPES[name];
    const path = join(this.#directory, `${name}.qcow2`);
    const options = recipe.options.replace('@', `${this.#directory}/`);
    qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path, recipe.size ?? '8M');
    recipe.make?.(path);
    const bytes = readFileSync(path);
    this.#made.set(name, bytes);
    return bytes;
  }
}
