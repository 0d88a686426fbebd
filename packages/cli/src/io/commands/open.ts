import { CACHE_MODES, type CacheMode } from 'lamella';
import { Failure } from '../../command-line/failure.js';
import { parseOptionList } from '../../command-line/option-list.js';
import { type ImageCommand, type PlainCommand, readCommandLine } from '../command.js';
import { CommandFailure, WrongUsage } from '../command-failure.js';
import { openForShell } from '../open-image.js';
import { OpenSettings } from '../open-settings.js';
import type { OpenedImage, OpenRequest } from '../opened-image.js';
import { changesOf } from '../reopen-options.js';
import type { Shell } from '../shell.js';

/** `open`. */
export const OPEN: PlainCommand = {
  name: 'open',
  alias: 'o',
  synopsis: '[-rsCnkU] [-t cache] [-d discard] [-o options] [path]',
  summary: 'open the file specified by path',
  manual: `
 opens a new file in the requested mode

 Example:
 'open -n -o driver=raw /tmp/data' - opens raw data file read-write, uncached

 Opens a file for subsequent use by all of the other qemu-io commands.
 -r, -- open file read-only
 -s, -- use snapshot file
 -C, -- use copy-on-read
 -n, -- disable host cache, short for -t none
 -U, -- force shared permissions
 -k, -- use kernel AIO implementation (Linux only, prefer use of -i)
 -i, -- use AIO mode (threads, native or io_uring)
 -t, -- use the given cache mode for the image
 -d, -- use the given discard mode for the image
 -o, -- options to be given to the block driver
`,
  words: [1],
  needs: 'nothing',
  async run(shell, words) {
    const { name } = shell.session;
    const settings = new OpenSettings();
    let options: string | undefined;
    const line = readCommandLine(shell, 'open', words, 'Cd:i:kno:rst:U', (letter, value) => {
      if (letter === 'o') {
        options = options === undefined ? value : `${options},${value}`;
      } else {
        asCommand(name, () => settings.take(letter, value));
      }
    });
    const [path, ...others] = line.operands;
    if (others.length > 0 || (path === undefined && options === undefined)) {
      throw new WrongUsage();
    }
    if (shell.image !== undefined) {
      throw new CommandFailure(`${name}: file open already, try 'help close'`, 'error');
    }
    warnOfWordsAlone(shell, options);
    const request = settings.request({ path, format: undefined, options });
    shell.image = await opening(name, () => openForShell(shell.session, request));
  },
};

/** `close`. */
export const CLOSE: ImageCommand = {
  name: 'close',
  alias: 'c',
  summary: 'close the current open file',
  words: [0, 0],
  needs: 'image',
  async run(shell) {
    await shell.close();
  },
};

/** `reopen`. */
export const REOPEN: ImageCommand = {
  name: 'reopen',
  synopsis: '[(-r|-w)] [-c cache] [-o options]',
  summary: 'reopens an image with new options',
  manual: `
 Changes the open options of an already opened image

 Example:
 'reopen -o lazy-refcounts=on' - activates lazy refcount writeback on a qcow2 image

 -r, -- Reopen the image read-only
 -w, -- Reopen the image read-write
 -c, -- Change the cache mode to the given value
 -o, -- Changes block driver options (cf. 'open' command)

`,
  words: [0],
  needs: 'image',
  async run(shell, words, image) {
    const { name } = shell.session;
    let writable: boolean | undefined;
    let cache: CacheMode | undefined;
    let options = '';
    const line = readCommandLine(shell, 'reopen', words, 'c:o:rw', (letter, value) => {
      if (letter === 'c') {
        cache = CACHE_MODES.find((mode) => mode === value);
        if (cache === undefined) {
          throw new CommandFailure(`${name}: Invalid cache option: ${value}`, 'error');
        }
      } else if (letter === 'o') {
        options = options === '' ? value : `${options},${value}`;
      } else if (writable === undefined) {
        writable = letter === 'w';
      } else {
        throw new CommandFailure(`${name}: Only one -r/-w option may be given`, 'error');
      }
    });
    if (line.operands.length > 0) {
      throw new WrongUsage();
    }
    const given = { mode: writable !== undefined, cache: cache !== undefined };
    const changes = asCommand(name, () => changesOf(options, given, image));
    const request: OpenRequest = {
      ...image.request,
      writable: writable ?? changes.writable ?? image.writable,
      cache: cache ?? changes.cache ?? image.request.cache,
    };
    await reopen(shell, image, request);
  },
};

/** Opens the image anew, or as it was if that fails. A throw-away layer must not be lost and stays open. */
async function reopen(shell: Shell, image: OpenedImage, request: OpenRequest): Promise<void> {
  const { session } = shell;
  if (request.snapshot) {
    await image.background.drain();
    shell.image = image.as(request);
    return;
  }
  await shell.close();
  try {
    shell.image = await openForShell(session, request, true);
  } catch (error) {
    shell.image = await opening(session.name, () => openForShell(session, image.request, true));
    throw failureOf(session.name, error);
  }
}

async function opening<T>(program: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw failureOf(program, error);
  }
}

function asCommand<T>(program: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw failureOf(program, error);
  }
}

function failureOf(program: string, error: unknown): unknown {
  return error instanceof Failure
    ? new CommandFailure(`${program}: ${error.message}`, 'error')
    : error;
}

/** A list may begin with a word alone, for a flag; that is out of fashion. */
export function warnOfWordsAlone(shell: Shell, options: string | undefined): void {
  const [first] = options === undefined ? [] : parseOptionList(options);
  if (first !== undefined && first.value === undefined) {
    shell.warn(
      `short-form boolean option '${first.name}' deprecated\nPlease use ${first.name}=on instead`,
    );
  }
}
