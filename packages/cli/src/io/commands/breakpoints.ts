import { type Breakpoints, eventOf, FaultStorage } from '@lamella/filters';
import type { ImageCommand } from '../command.js';
import { CommandFailure } from '../command-failure.js';
import type { OpenedImage } from '../opened-image.js';
import type { Shell } from '../shell.js';

/** `break`. */
export const BREAK: ImageCommand = {
  name: 'break',
  synopsis: 'event tag',
  summary: 'sets a breakpoint on event and tags the stopped request as tag',
  words: [2, 2],
  needs: 'image',
  run(shell, [eventName = '', tag = ''], image) {
    const breakpoints = breakpointsOf(shell, image);
    const event = eventOf(eventName);
    if (breakpoints === undefined || event === 'foreign') {
      throw new CommandFailure('Could not set breakpoint: Operation not supported');
    }
    if (event === undefined) {
      throw new CommandFailure('Could not set breakpoint: No such file or directory');
    }
    breakpoints.add(event, tag);
  },
};

/** `remove_break`. */
export const REMOVE_BREAK: ImageCommand = {
  name: 'remove_break',
  synopsis: 'tag',
  summary: 'remove a breakpoint by tag',
  words: [1, 1],
  needs: 'image',
  run(shell, [tag = ''], image) {
    const breakpoints = breakpointsOf(shell, image);
    if (breakpoints?.remove(tag) !== true) {
      throw new CommandFailure(`Could not remove breakpoint ${tag}: ${reason(breakpoints)}`);
    }
  },
};

/** `resume`. */
export const RESUME: ImageCommand = {
  name: 'resume',
  synopsis: 'tag',
  summary: 'resumes the request tagged as tag',
  words: [1, 1],
  needs: 'image',
  async run(shell, [tag = ''], image) {
    const breakpoints = breakpointsOf(shell, image);
    if (breakpoints?.resume(tag) !== true) {
      throw new CommandFailure(`Could not resume request: ${reason(breakpoints)}`);
    }
  },
};

/** `wait_break`. */
export const WAIT_BREAK: ImageCommand = {
  name: 'wait_break',
  synopsis: 'tag',
  summary: 'waits for the suspension of a request',
  words: [1, 1],
  needs: 'image',
  async run(shell, [tag = ''], image) {
    const breakpoints = breakpointsOf(shell, image);
    if (breakpoints === undefined) {
      throw new CommandFailure('Could not wait for a request: Operation not supported');
    }
    await breakpoints.waitFor(tag);
  },
};

function reason(breakpoints: Breakpoints | undefined): string {
  return breakpoints === undefined ? 'Operation not supported' : 'No such file or directory';
}

/** The breakpoints of the filter under the image, if there is one. */
function breakpointsOf({ session }: Shell, { disk }: OpenedImage): Breakpoints | undefined {
  for (const { storage } of disk.openLayers) {
    if (storage instanceof FaultStorage) {
      storage.breakpoints.listener ??= {
        suspended: (tag) => session.out(`blkdebug: Suspended request '${tag}'\n`),
        resumed: (tag) => session.out(`blkdebug: Resuming request '${tag}'\n`),
      };
      return storage.breakpoints;
    }
  }
  return undefined;
}
