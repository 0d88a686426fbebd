import { type PlainCommand, usageOf } from '../command.js';
import { CommandFailure } from '../command-failure.js';

/** `help`, or `?`. */
export const HELP: PlainCommand = {
  name: 'help',
  alias: '?',
  synopsis: '[command]',
  summary: 'help for one or all commands',
  words: [0, 1],
  needs: 'nothing',
  run(shell, [name]) {
    const { session } = shell;
    if (name === undefined) {
      const usages = shell.commands.map((command) => usageOf(command, command.name));
      session.out(`${usages.join('')}\nUse 'help commandname' for extended help.\n`);
      return;
    }
    const command = shell.find(name);
    if (command === undefined) {
      throw new CommandFailure(`command ${name} not found`);
    }
    session.out(`${usageOf(command, name)}${command.manual ?? ''}`);
  },
};
