import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A link that leads nowhere. */
export interface BrokenLink {
  readonly file: string;
  readonly line: number;
  readonly link: string;
  readonly why: string;
}

/** Links of documents, to files, to headings, and elsewhere; those elsewhere are only read, never followed. */
export function brokenMarkdownLinks(root: string, files: readonly string[]): readonly BrokenLink[] {
  return files.flatMap((file) => {
    const lines = withoutCode(readFileSync(join(root, file), 'utf8'));
    return lines.flatMap((text, index) =>
      linksIn(text).flatMap((link) => {
        const why = problemOf(root, file, link);
        return why === undefined ? [] : [{ file, line: index + 1, link, why }];
      }),
    );
  });
}

function linksIn(text: string): readonly string[] {
  const prose = text.replace(/`[^`]*`/g, '');
  return [...prose.matchAll(/\]\(\s*<?([^)\s>]*)>?(?:\s+"[^"]*")?\s*\)/g)].map(
    ([, link = '']) => link,
  );
}

function problemOf(root: string, file: string, link: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(link)) {
    return /^(https|mailto):/.test(link) && URL.canParse(link) ? undefined : 'no address';
  }
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? file : join(dirname(file), decodeURIComponent(path));
  const absolute = join(root, target);
  if (link === '' || target.startsWith('..') || !existsSync(absolute)) {
    return 'there is no such file';
  }
  if (anchor === undefined || (anchor === '' && statSync(absolute).isDirectory())) {
    return undefined;
  }
  return target.endsWith('.md') && headings(readFileSync(absolute, 'utf8')).includes(anchor)
    ? undefined
    : 'there is no such heading';
}

/** Anchors of the headings, as GitHub and typedoc make them. */
function headings(text: string): readonly string[] {
  return withoutCode(text).flatMap((line) => {
    const [, heading] = /^#{1,6}\s+(.+?)\s*#*$/.exec(line) ?? [];
    return heading === undefined ? [] : [slug(heading)];
  });
}

function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

/** The lines, those of fenced code blank. */
function withoutCode(text: string): readonly string[] {
  let inside = false;
  return text.split('\n').map((line) => {
    const fence = /^\s*```/.test(line);
    const code = inside || fence;
    inside = fence ? !inside : inside;
    return code ? '' : line;
  });
}
