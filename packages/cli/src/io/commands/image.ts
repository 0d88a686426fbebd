import { isLamellaError, type Preallocation } from 'lamella';
import { detailLines } from '../../img/commands/info.js';
import { problemText } from '../../messages/problem.js';
import { type ImageCommand, readCommandLine } from '../command.js';
import { CommandFailure, WrongUsage } from '../command-failure.js';
import { readNumber } from '../numbers.js';
import type { OpenedImage } from '../opened-image.js';
import { requestProblem } from '../problem-text.js';
import { sizeText } from '../sizes.js';
import { vmStateOffset } from '../vm-state.js';

/** `length`. */
export const LENGTH: ImageCommand = {
  name: 'length',
  alias: 'l',
  summary: 'gets the length of the current file',
  words: [0, 0],
  needs: 'image',
  run({ session }, _words, { disk }) {
    session.out(`${sizeText(BigInt(disk.size))}\n`);
  },
};

/** `flush`. */
export const FLUSH: ImageCommand = {
  name: 'flush',
  alias: 'f',
  summary: 'flush all in-core file state to disk',
  words: [0, 0],
  needs: 'image',
  async run(_shell, _words, image) {
    try {
      await image.flush();
    } catch {
      // Nothing is said of it; the exit code tells.
      throw new CommandFailure('');
    }
  },
};

/** `truncate`. */
export const TRUNCATE: ImageCommand = {
  name: 'truncate',
  alias: 't',
  synopsis: '[-m prealloc_mode] off',
  summary: 'truncates the current file at the given offset',
  words: [1, 3],
  needs: 'writable',
  async run(shell, words, { disk }) {
    const { name } = shell.session;
    let preallocation: Preallocation = 'off';
    const line = readCommandLine(shell, 'truncate', words, 'm:', (_letter, value) => {
      preallocation = preallocationOf(value, name);
    });
    const [sizeWord] = line.operands;
    if (sizeWord === undefined) {
      throw new WrongUsage();
    }
    const size = readNumber(sizeWord, shell.warn);
    try {
      await disk.resize(Number(size), { preallocation });
    } catch (error) {
      const text = isLamellaError(error) ? problemText(error) : requestProblem(error);
      throw new CommandFailure(`${name}: ${text}`, 'error');
    }
  },
};

function preallocationOf(value: string, program: string): Preallocation {
  switch (value) {
    case 'off':
    case 'metadata':
    case 'falloc':
    case 'full':
      return value;
    default:
      throw new CommandFailure(`${program}: Invalid preallocation mode '${value}'`, 'error');
  }
}

/** `info`. */
export const INFO: ImageCommand = {
  name: 'info',
  alias: 'i',
  summary: 'prints information about the current file',
  words: [0, 0],
  needs: 'image',
  run({ session }, _words, image) {
    session.out(infoText(image));
  },
};

function infoText({ disk }: OpenedImage): string {
  const [top] = disk.openLayers;
  const { format } = top;
  const clusterSize = BigInt(top.image.clusterSize === 1 ? 0 : top.image.clusterSize);
  const { details } = top.image;
  return (
    `format name: ${format}\n` +
    `cluster size: ${sizeText(clusterSize)}\n` +
    `vm state offset: ${sizeText(vmStateOffset(disk))}\n` +
    (details === undefined
      ? ''
      : `Format specific information:\n${detailLines(details, '    ').join('\n')}\n`)
  );
}
