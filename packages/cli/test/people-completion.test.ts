import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { COMMANDS } from '#internal/img/commands/index.js';
import { runPeople } from './support/people.js';
import { onTerminal, skipWithout } from './support/terminal.js';

async function scriptFor(shell: string, directory: string): Promise<string> {
  const { stdout, stderr, code } = await runPeople(directory, ['completion', shell]);
  t.same({ stderr, code }, { stderr: '', code: 0 }, shell);
  return stdout;
}

/** Words that are typed, with tabs, and what the program is then called with. */
const TYPED: readonly (readonly [keys: string, words: string])[] = [
  ['lamella inf\t --ch\t my\t', 'info --chain my disk.qcow2'],
  ['lamella convert -O qc\t -t unsa\t my\t out', 'convert -O qcow2 -t unsafe my disk.qcow2 out'],
  ['lamella check --repair al\t my\t', 'check --repair all my disk.qcow2'],
  ['lamella --driver map amen\t --opt\t x', 'amend --options x'],
  ['lamella completion f\t', 'completion fish'],
  ['lamella help res\t', 'help resize'],
];

t.test('bash completes what is typed', skipWithout('bash', 'script'), async (t) => {
  const directory = t.testdir({ 'my disk.qcow2': '' });
  writeFileSync(join(directory, 'completion'), await scriptFor('bash', directory));
  writeFileSync(
    join(directory, 'rc'),
    `PS1='$ '\nlamella() { echo "RAN: $*"; }\nbind 'set enable-bracketed-paste off'\nsource ./completion\n`,
  );
  const input = [...TYPED.map(([keys]) => keys), 'exit', ''].join('\n');
  const shown = onTerminal(directory, 'bash --noprofile --rcfile rc -i', { input });
  assertRan(t, shown, (words) => words.replace('amend', '--driver map amend'));
});

t.test('bash proposes', skipWithout('bash'), async (t) => {
  const directory = t.testdir({ 'a.raw': '', 'b c.raw': '' });
  const script = await scriptFor('bash', directory);
  const propose = (...words: readonly string[]): readonly string[] =>
    execFileSync(
      'bash',
      [
        '-c',
        `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lamella; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        'lamella',
        ...words,
      ],
      { cwd: directory, encoding: 'utf8' },
    )
      .split('\n')
      .filter((word) => word !== '');
  const names = COMMANDS.map(({ name }) => name);
  t.same(propose('').toSorted(), [...names, 'completion', 'help'].toSorted());
  for (const { name, options } of COMMANDS) {
    const expected = options.flatMap(({ long }) => (long === undefined ? [] : [`--${long}`]));
    const proposed = propose(name, '--');
    t.same(
      expected.filter((word) => !proposed.includes(word)),
      [],
      `options of ${name}`,
    );
  }
  t.same(propose('info', '--output', '='), ['human', 'json'], '--output=');
  t.same(propose('info', '--output', '=', 'j'), ['json'], '--output=j');
  t.same(propose('convert', '-O', '').toSorted(), ['qcow2', 'qed', 'raw']);
  t.same(propose('resize', '--preallocation', 'f'), ['falloc', 'full']);
  t.same(propose('info', ''), ['a.raw', 'b c.raw'], 'files');
  t.same(propose('rebase', '-b', 'b'), ['b c.raw']);
  t.same(propose('convert', '-r', ''), [], 'a rate is for the user to say');
});

t.test('zsh completes what is typed', skipWithout('zsh', 'script'), async (t) => {
  const directory = t.testdir({ 'my disk.qcow2': '' });
  writeFileSync(join(directory, 'completion'), await scriptFor('zsh', directory));
  writeFileSync(
    join(directory, '.zshrc'),
    `PS1='$ '\nunset zle_bracketed_paste\nautoload -Uz compinit; compinit -u -D\nlamella() { echo "RAN: $*" }\nsource ./completion\n`,
  );
  const input = [...TYPED.map(([keys]) => keys), 'exit', ''].join('\n');
  const shown = onTerminal(directory, 'zsh -i', { input, env: { ZDOTDIR: directory } });
  assertRan(t, shown, (words) => words.replace('amend', '--driver map amend'));
});

function assertRan(t: Test, shown: string, expected: (words: string) => string): void {
  // zsh writes a value of a long option behind an equals sign.
  const ran = [...shown.matchAll(/RAN: (.*?)\s*$/gm)].map(([, words = '']) =>
    words.replace(/(--\w+)=/g, '$1 '),
  );
  t.same(
    ran,
    TYPED.map(([, words]) => expected(words)),
  );
}

t.test('fish proposes', skipWithout('fish'), async (t) => {
  const directory = t.testdir({ 'a.raw': '' });
  writeFileSync(join(directory, 'completion'), await scriptFor('fish', directory));
  const propose = (line: string): readonly string[] =>
    execFileSync('fish', ['--no-config', '-c', `source completion; complete -C '${line}'`], {
      cwd: directory,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: directory },
    })
      .split('\n')
      .flatMap((text) => (text === '' ? [] : [text.split('\t')[0] ?? '']));
  t.same(propose('lamella inf'), ['info']);
  t.same(propose('lamella info --ch'), ['--chain']);
  t.same(propose('lamella convert -O '), ['qcow2', 'qed', 'raw']);
  t.same(propose('lamella info --output='), ['--output=human', '--output=json']);
  t.same(propose('lamella info a'), ['a.raw']);
  for (const { name, options } of COMMANDS) {
    const proposed = propose(`lamella ${name} --`).map((word) => word.replace(/=$/, ''));
    const expected = options.flatMap(({ long }) => (long === undefined ? [] : [`--${long}`]));
    t.same(
      expected.filter((word) => !proposed.includes(word)),
      [],
      `options of ${name}`,
    );
  }
});
