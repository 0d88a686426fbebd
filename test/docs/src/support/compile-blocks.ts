import { join } from 'node:path';
import ts from 'typescript';
import type { BlockProblem, CodeBlock } from './code-blocks.js';
import { ROOT } from './workspace.js';

/** Where the modules that blocks are compiled as would lie: packages are found from there as by any program. */
const FOLDER = join(ROOT, 'test/docs/blocks');

/** Names that blocks may use without declaring them; `docs/guides/getting-started.md` says so. */
const AMBIENT = `
import type { Disk, Lamella } from 'lamella';
declare global {
  const lamella: Lamella;
  const disk: Disk;
}
`;

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  skipLibCheck: true,
  noEmit: true,
};

/**
 * Compiles each block as a module of its own, those that continue together with what they continue, against the
 * packages as a program would import them.
 *
 * @returns what the compiler has to say, at the lines of the documents
 */
export function compileBlocks(blocks: readonly CodeBlock[]): readonly BlockProblem[] {
  const modules = modulesOf(blocks);
  const texts = new Map([[join(FOLDER, 'ambient.d.ts'), AMBIENT]]);
  const origins = new Map<string, string>();
  for (const [index, { file, text }] of modules.entries()) {
    const path = join(FOLDER, `block-${index}.ts`);
    texts.set(path, text);
    origins.set(path, file);
  }
  const host = ts.createCompilerHost(OPTIONS);
  const { getSourceFile, fileExists, readFile } = host;
  host.getCurrentDirectory = () => join(ROOT, 'test/docs');
  host.fileExists = (path) => texts.has(path) || fileExists.call(host, path);
  host.readFile = (path) => texts.get(path) ?? readFile.call(host, path);
  host.getSourceFile = (path, version, ...rest) => {
    const text = texts.get(path);
    return text === undefined
      ? getSourceFile.call(host, path, version, ...rest)
      : ts.createSourceFile(path, text, version, true);
  };
  const program = ts.createProgram([...texts.keys()], OPTIONS, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => ({
    file: origins.get(file?.fileName ?? '') ?? file?.fileName ?? '',
    line: file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1,
    message: ts.flattenDiagnosticMessageText(messageText, ' '),
  }));
}

interface Module {
  readonly file: string;
  readonly text: string;
}

/** Modules in which every line of code has the number that it has in its document. */
function modulesOf(blocks: readonly CodeBlock[]): readonly Module[] {
  const modules: { readonly file: string; text: string }[] = [];
  for (const { file, line, code, continues, exempt } of blocks) {
    if (exempt !== undefined) {
      continue;
    }
    let last = modules.at(-1);
    if (last === undefined || !continues || last.file !== file) {
      last = { file, text: '' };
      modules.push(last);
    }
    const lines = last.text.split('\n').length;
    last.text += `${'\n'.repeat(line - lines)}${code}\n`;
  }
  return modules;
}
