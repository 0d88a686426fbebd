import t from 'tap';
import { brokenMarkdownLinks } from './support/markdown-links.js';
import { assertSiteIsCurrent, SITE } from './support/site.js';
import { checkSiteLinks } from './support/site-links.js';
import { documents, ROOT } from './support/workspace.js';

t.test('no link of a document leads nowhere', async (t) => {
  t.same(brokenMarkdownLinks(ROOT, documents()), []);
});

t.test('no link of the site leads nowhere', async (t) => {
  assertSiteIsCurrent();
  const { count, broken } = checkSiteLinks(SITE);
  t.ok(count > 10_000, `${count} links`);
  t.same(broken, []);
});

t.test('broken links of documents are found', async (t) => {
  const root = t.testdir({
    'a.md': [
      '# One `and` two',
      '[good](b/c.md#a-heading), [good](#one-and-two), [good](https://example.org/x#y)',
      '[bad](b/d.md) and [bad](b/c.md#no-heading)',
      '```',
      '[code](nowhere.md)',
      '```',
      '![bad](picture.png "title") [bad](http:/) `[code](nowhere.md)` [bad](../outside.md)',
    ].join('\n'),
    b: { 'c.md': '## A heading\n' },
  });
  t.same(
    brokenMarkdownLinks(root, ['a.md']).map(({ line, link }) => [line, link]),
    [
      [3, 'b/d.md'],
      [3, 'b/c.md#no-heading'],
      [7, 'picture.png'],
      [7, 'http:/'],
      [7, '../outside.md'],
    ],
  );
});

t.test('broken links of a site are found', async (t) => {
  const folder = t.testdir({
    'index.html':
      '<a href="#here" id="here">x</a><a href="p/q.html#r">x</a><a href="https://a.example/">x</a>' +
      '<a href="#gone">x</a><a class="b" href="p/none.html">x</a><img src="none.png"/>',
    p: { 'q.html': '<h2 id="r">x</h2><a href="../index.html#r">x</a> &lt;a href="text">' },
  });
  t.same(checkSiteLinks(folder), {
    count: 7,
    broken: [
      'index.html: #gone',
      'index.html: p/none.html',
      'index.html: none.png',
      'p/q.html: ../index.html#r',
    ],
  });
});
