import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { docstringBlocks, markdownBlocks } from './support/code-blocks.js';
import { compileBlocks } from './support/compile-blocks.js';
import { documents, ROOT, sources } from './support/workspace.js';

const FENCE = '```';

/** The template of a package is one for a package that there is. */
function filledIn(text: string): string {
  return text
    .replaceAll('__PACKAGE__', '@lamella-examples/driver-vdi')
    .replaceAll('__CLASS__', 'Vdi')
    .replaceAll('__FORMAT__', 'vdi');
}

t.test('every block of code in documents and docstrings compiles', async (t) => {
  const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
  const found = [
    ...documents().map((file) => markdownBlocks(file, filledIn(read(file)))),
    ...sources().map((file) => docstringBlocks(file, read(file))),
  ];
  const blocks = found.flatMap((each) => each.blocks);
  const exempt = blocks.filter((block) => block.exempt !== undefined);
  t.comment(`${blocks.length} blocks, ${exempt.length} of them not compiled`);
  for (const { file, line, exempt: reason } of exempt) {
    t.comment(`${file}:${line} is not compiled: ${reason}`);
  }
  t.ok(blocks.length > exempt.length * 10, 'few are left out');
  const problems = [...found.flatMap((each) => each.problems), ...compileBlocks(blocks)];
  t.same(
    problems.map(({ file, line, message }) => `${file}:${line}: ${message}`),
    [],
  );
});

t.test('a broken block is told by file and line', async (t) => {
  const { blocks, problems } = markdownBlocks(
    'guide.md',
    [
      '# Guide',
      '',
      `${FENCE}ts`,
      "const image = await lamella.open('vm.qcow2');",
      `${FENCE}`,
      '',
      '<!-- continues -->',
      '',
      `${FENCE}ts`,
      'await image.flush();',
      'await image.paint();',
      `${FENCE}`,
      '',
      `${FENCE}ts`,
      "import { Nothing } from 'lamella';",
      'await image.flush();',
      `${FENCE}`,
    ].join('\n'),
  );
  t.same(problems, []);
  t.match(compileBlocks(blocks), [
    { file: 'guide.md', line: 11, message: /'paint' does not exist on type 'Disk'/ },
    { file: 'guide.md', line: 15, message: /no exported member 'Nothing'/ },
    { file: 'guide.md', line: 16, message: /Cannot find name 'image'/ },
  ]);
});

t.test('a broken block in a docstring is told by file and line', async (t) => {
  const { blocks } = docstringBlocks(
    'source.ts',
    [
      '/** A class. */',
      'export class Thing {',
      '  /**',
      '   * Does it.',
      '   *',
      '   * @example',
      `   * ${FENCE}ts`,
      "   * await disk.write('text', 0);",
      `   * ${FENCE}`,
      '   */',
      '  run(): void {}',
      '}',
    ].join('\n'),
  );
  t.match(compileBlocks(blocks), [{ file: 'source.ts', line: 8, message: /'string'/ }]);
});

t.test('nothing slips through by its fence or its mark', async (t) => {
  const text = (mark: string, language: string) =>
    `${mark}\n\n${FENCE}${language}\nx y\n${FENCE}\n`;
  t.match(markdownBlocks('a.md', text('', 'js')).problems, [{ line: 3, message: /use 'ts'/ }]);
  t.match(markdownBlocks('a.md', text('<!-- not compiled: -->', 'ts')).problems, [
    { line: 3, message: /say why/ },
  ]);
  t.match(markdownBlocks('a.md', `${FENCE}ts\nlet a;`).problems, [{ line: 1, message: /no end/ }]);
  const { blocks } = markdownBlocks('a.md', text('<!-- not compiled: half a file -->', 'ts'));
  t.match(blocks, [{ exempt: 'half a file' }]);
  t.same(compileBlocks(blocks), []);
  t.ok(compileBlocks(markdownBlocks('a.md', text('<!-- a remark -->', 'ts')).blocks).length > 0);
});
