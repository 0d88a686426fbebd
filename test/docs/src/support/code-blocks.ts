import ts from 'typescript';

/** A fenced block of TypeScript in a document or a docstring. */
export interface CodeBlock {
  /** The file that it stands in. */
  readonly file: string;
  /** Line of its first line of code, from 1. */
  readonly line: number;
  /** The code. */
  readonly code: string;
  /** Why it is not compiled, if it is not. */
  readonly exempt?: string;
  /** It belongs to the same module as the block before it. */
  readonly continues: boolean;
}

/** Something about a block that keeps it from being checked. */
export interface BlockProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** The blocks of one file, and those that no checker could make sense of. */
export interface FoundBlocks {
  readonly blocks: readonly CodeBlock[];
  readonly problems: readonly BlockProblem[];
}

interface Line {
  readonly number: number;
  readonly text: string;
}

const TYPESCRIPT = ['ts', 'typescript', 'tsx', 'js', 'javascript', 'mts', 'mjs'];

/** Blocks of a markdown document. */
export function markdownBlocks(file: string, text: string): FoundBlocks {
  return blocksIn(
    file,
    text.split('\n').map((line, index) => ({ number: index + 1, text: line })),
  );
}

/** Blocks in all docstrings of a TypeScript file. */
export function docstringBlocks(file: string, text: string): FoundBlocks {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  const comments = new Map<number, ts.CommentRange>();
  const visit = (node: ts.Node): void => {
    for (const range of ts.getLeadingCommentRanges(text, node.pos) ?? []) {
      if (text.startsWith('/**', range.pos)) {
        comments.set(range.pos, range);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  const found = [...comments.values()].map(({ pos, end }) => {
    const first = source.getLineAndCharacterOfPosition(pos).line + 1;
    const lines = text
      .slice(pos, end)
      .split('\n')
      .map((line, index) => ({ number: first + index, text: line.replace(/^\s*\*? ?/, '') }));
    return blocksIn(file, lines);
  });
  return {
    blocks: found.flatMap(({ blocks }) => blocks),
    problems: found.flatMap(({ problems }) => problems),
  };
}

function blocksIn(file: string, lines: readonly Line[]): FoundBlocks {
  const blocks: CodeBlock[] = [];
  const problems: BlockProblem[] = [];
  let mark = '';
  let open: { readonly line: number; readonly language: string; readonly code: string[] } | null =
    null;
  for (const { number, text } of lines) {
    const fence = /^\s*```(.*)$/.exec(text);
    if (open === null && fence !== null) {
      open = { line: number + 1, language: (fence[1] ?? '').trim(), code: [] };
    } else if (open !== null && fence === null) {
      open.code.push(text);
    } else if (open !== null) {
      const { line, language, code } = open;
      open = null;
      if (TYPESCRIPT.includes(language)) {
        const [, reason] = /^<!-- not compiled:?(.*)-->$/.exec(mark) ?? [];
        const exempt = reason?.trim();
        if (language !== 'ts') {
          problems.push({
            file,
            line: line - 1,
            message: `'${language}' is not checked: use 'ts'`,
          });
        } else if (exempt === '') {
          problems.push({ file, line: line - 1, message: 'say why it is not compiled' });
        } else {
          const continues = mark === '<!-- continues -->';
          blocks.push({
            file,
            line,
            code: code.join('\n'),
            continues,
            ...(exempt === undefined ? {} : { exempt }),
          });
        }
      }
      mark = '';
    } else if (text.trim() !== '') {
      mark = text.trim();
    }
  }
  if (open !== null) {
    problems.push({ file, line: open.line - 1, message: 'the block has no end' });
  }
  return { blocks, problems };
}
