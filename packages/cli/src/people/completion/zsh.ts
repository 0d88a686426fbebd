import type { Completed, CompletedCommand, CompletedOption, CompletionSpec } from './spec.js';

/** A completion script for zsh. */
export function zshScript({ program, options, commands }: CompletionSpec): string {
  const name = `_${program.replace(/\W/g, '_')}`;
  return `#compdef ${program}
# Completion of ${program} for zsh. For this shell: source <(${program} completion zsh)
# For all: ${program} completion zsh > DIRECTORY/_${program}, with a DIRECTORY of $fpath
${name}() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
${options.map((option) => `    ${argumentOf(option)} \\\n`).join('')}    '1: :->command' \\
    '*:: :->rest'
  case $state in
    command)
      local -a commands
      commands=(
${commands.map((command) => `        ${quoted(`${command.name}:${command.summary}`)}\n`).join('')}      )
      _describe -t commands command commands
      ;;
    rest)
      case $line[1] in
${commands.map(commandCase).join('')}      esac
      ;;
  esac
}
if [[ $funcstack[1] == ${name} ]]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi
`;
}

function commandCase({ name, options, operands }: CompletedCommand): string {
  const specs = [...options.map(argumentOf), quoted(`*: :${actionOf(operands)}`)];
  return `        ${name})\n          _arguments -S ${specs.join(' \\\n            ')}\n          ;;\n`;
}

/** `'(-f --format)'{-f+,--format=}'[help]:FMT:(raw qcow2)'`. */
function argumentOf({ short, long, help, metavar, value }: CompletedOption): string {
  const names = [
    ...(short === undefined ? [] : [`-${short}${value === undefined ? '' : '+'}`]),
    ...(long === undefined ? [] : [`--${long}${value === undefined ? '' : '='}`]),
  ];
  const text = `[${help.replace(/[[\]:\\]/g, '\\$&')}]`;
  const action =
    value === undefined ? '' : `:${(metavar ?? '').replaceAll(':', '\\:')}:${actionOf(value)}`;
  // Options may be given again; no list of exclusions, then.
  const [first = '', second] = names;
  return second === undefined
    ? quoted(`*${first}${text}${action}`)
    : `\\*{${first},${second}}${quoted(`${text}${action}`)}`;
}

function actionOf(completed: Completed): string {
  switch (completed.kind) {
    case 'words':
      return `(${completed.words.join(' ')})`;
    case 'files':
      return '_files';
    case 'free':
      return ' ';
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
