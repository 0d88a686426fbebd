import { type Command, defineCommand } from '../../command-line/command.js';
import { Failure } from '../../command-line/failure.js';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { type CompletionSpec, completionSpec } from '../completion/spec.js';
import { zshScript } from '../completion/zsh.js';

const SCRIPTS: ReadonlyMap<string, (spec: CompletionSpec) => string> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

/**
 * `completion`: prints a script that teaches a shell the command line.
 *
 * @param commands - the other commands
 */
export function completionOf(commands: readonly Command[]): Command {
  const completion = defineCommand<object>({
    name: 'completion',
    summary: 'Print a script with which a shell completes commands and options',
    operands: 'bash|zsh|fish',
    settings: () => ({}),
    options: [],
    async run(session, _settings, [shell = '', ...more]) {
      const script = SCRIPTS.get(shell);
      if (script === undefined || more.length > 0) {
        const known = [...SCRIPTS.keys()];
        throw new Failure(`Expecting the name of a shell: ${known.join(', ')}`, {
          usage: true,
          misspelt: shell === '' || more.length > 0 ? undefined : { word: shell, known },
        });
      }
      const all = [...commands, completion];
      session.out(script(completionSpec(session.name, all, session.lamella.formats)));
      return 0;
    },
  });
  return completion;
}
