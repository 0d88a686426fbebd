import type { Completed, CompletedOption, CompletionSpec } from './spec.js';

/** A completion script for fish. */
export function fishScript({ program, options, commands }: CompletionSpec): string {
  const names = commands.map(({ name }) => name).join(' ');
  const none = quoted(`not __fish_seen_subcommand_from ${names}`);
  const lines = [
    `# Completion of ${program} for fish. For this shell: ${program} completion fish | source`,
    `# For all: ${program} completion fish > ~/.config/fish/completions/${program}.fish`,
    `complete -c ${program} -f`,
    ...options.map((option) => optionLine(program, none, option)),
    ...commands.map(
      ({ name, summary }) => `complete -c ${program} -n ${none} -a ${name} -d ${quoted(summary)}`,
    ),
    ...commands.flatMap(({ name, options: own, operands }) => {
      const seen = quoted(`__fish_seen_subcommand_from ${name}`);
      return [
        ...own.map((option) => optionLine(program, seen, option)),
        ...(operands.kind === 'free'
          ? []
          : [`complete -c ${program} -n ${seen} ${offer(operands)}`]),
      ];
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function optionLine(program: string, condition: string, option: CompletedOption): string {
  const { short, long, help, value } = option;
  return [
    `complete -c ${program} -n ${condition}`,
    ...(short === undefined ? [] : [`-s ${short}`]),
    ...(long === undefined ? [] : [`-l ${long}`]),
    ...(value === undefined
      ? []
      : [value.kind === 'files' ? '-r -F' : `-x ${offer(value)}`.trim()]),
    `-d ${quoted(help)}`,
  ].join(' ');
}

function offer(completed: Completed): string {
  switch (completed.kind) {
    case 'words':
      return `-a ${quoted(completed.words.join(' '))}`;
    case 'files':
      return '-F';
    case 'free':
      return '';
  }
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
