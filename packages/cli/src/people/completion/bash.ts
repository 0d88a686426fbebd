import type { Completed, CompletedOption, CompletionSpec } from './spec.js';

/** A completion script for bash 4 and later. */
export function bashScript({ program, options, commands }: CompletionSpec): string {
  const name = functionName(program);
  const names = commands.map((command) => command.name).join(' ');
  const cases = commands.map(
    (command) => `    ${command.name})
      options='${wordsOf(command.options)}'
      case $previous in
${valueCases(command.options)}        *) operand=${resultOf(command.operands)} ;;
      esac
      ;;
`,
  );
  return `# Completion of ${program} for bash. For this shell: source <(${program} completion bash)
# For all: ${program} completion bash > ~/.local/share/bash-completion/completions/${program}
${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' options='' value='' operand='' index
  # --output=json comes as three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((index = 1; index < COMP_CWORD; index += 1)); do
    case \${COMP_WORDS[index]} in
      --driver) ((index += 1)) ;;
      -*) ;;
      *)
        command=\${COMP_WORDS[index]}
        break
        ;;
    esac
  done
  case $command in
    '')
      options='${wordsOf(options)}'
      operand='words:${names}'
      case $previous in
${valueCases(options)}      esac
      ;;
${cases.join('')}  esac
  COMPREPLY=()
  if [[ -z $value && $current == -* ]]; then
    value=words:$options
  fi
  value=\${value:-$operand}
  case $value in
    words:*) mapfile -t COMPREPLY < <(compgen -W "\${value#words:}" -- "$current") ;;
    files)
      compopt -o filenames 2> /dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      ;;
  esac
}
complete -F ${name} ${program}
`;
}

function functionName(program: string): string {
  return `_${program.replace(/\W/g, '_')}`;
}

function namesOf({ short, long }: CompletedOption): readonly string[] {
  return [
    ...(short === undefined ? [] : [`-${short}`]),
    ...(long === undefined ? [] : [`--${long}`]),
  ];
}

function wordsOf(options: readonly CompletedOption[]): string {
  return options.flatMap(namesOf).join(' ');
}

/** A case for each option with a value: what follows it. */
function valueCases(options: readonly CompletedOption[]): string {
  return options
    .flatMap((option) =>
      option.value === undefined
        ? []
        : [`        ${namesOf(option).join(' | ')}) value=${resultOf(option.value)} ;;\n`],
    )
    .join('');
}

function resultOf(completed: Completed): string {
  switch (completed.kind) {
    case 'words':
      return `'words:${completed.words.join(' ')}'`;
    case 'files':
      return 'files';
    case 'free':
      return 'free';
  }
}
