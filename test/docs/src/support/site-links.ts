import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Links of a site's pages, made without scripts. */
export interface SiteLinks {
  /** How many there are. */
  readonly count: number;
  /** `PAGE: LINK` of those that lead nowhere. */
  readonly broken: readonly string[];
}

interface Page {
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly string[];
}

/** Follows every link and every source on all pages below a folder: files and anchors; addresses are only read. */
export function checkSiteLinks(folder: string): SiteLinks {
  const pages = new Map<string, Page>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && /\.(html|svg)$/.test(entry.name)) {
      const path = join(entry.parentPath, entry.name);
      pages.set(path, readPage(readFileSync(path, 'utf8')));
    }
  }
  const broken: string[] = [];
  let count = 0;
  for (const [path, { links }] of pages) {
    for (const link of links) {
      count += 1;
      if (!leadsSomewhere(link, path, pages)) {
        broken.push(`${relative(folder, path)}: ${link}`);
      }
    }
  }
  return { count, broken };
}

function leadsSomewhere(link: string, page: string, pages: ReadonlyMap<string, Page>): boolean {
  if (/^[a-z][a-z0-9+.-]*:/i.test(link)) {
    return /^(https|data|mailto):/.test(link) && URL.canParse(link);
  }
  const [path = '', anchor = ''] = link.split('#');
  const file = path.replace(/\?.*$/, '');
  const target = file === '' ? page : join(dirname(page), decodeURIComponent(file));
  const found = pages.get(target);
  if (found === undefined) {
    return anchor === '' && existsSync(target);
  }
  return anchor === '' || found.anchors.has(decodeURIComponent(anchor));
}

/** Text of a page has its `<` escaped, so that a tag is a tag. */
function readPage(html: string): Page {
  const anchors = new Set<string>();
  const links: string[] = [];
  for (const [, attributes = ''] of html.matchAll(/<[a-z][a-z0-9-]*(\s[^>]*)>/g)) {
    for (const [, name, value = ''] of attributes.matchAll(/\s(id|name|href|src)="([^"]*)"/g)) {
      const text = unescaped(value);
      if (name === 'id' || name === 'name') {
        anchors.add(text);
      } else {
        links.push(text);
      }
    }
  }
  return { anchors, links };
}

function unescaped(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}
