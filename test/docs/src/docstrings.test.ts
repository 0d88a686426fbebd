import t from 'tap';
import { docstringProblems, type Reflection } from './support/docstrings.js';
import { assertSiteIsCurrent, readProject } from './support/site.js';

t.test('public functions say what they throw, and places and lengths their unit', async (t) => {
  assertSiteIsCurrent();
  t.same(docstringProblems(readProject() as Reflection), []);
});

t.test('what is missing is found', async (t) => {
  const text = (words: string) => ({ summary: [{ text: words }] });
  const number = { type: 'intrinsic', name: 'number' };
  const project: Reflection = {
    name: 'project',
    children: [
      {
        name: 'Thing',
        comment: text('Offsets are bytes.'),
        children: [{ name: 'offset', type: number }],
      },
      {
        name: 'Other',
        comment: text('A thing with megabytes.'),
        children: [
          { name: 'size', type: number },
          { name: 'length', type: number, comment: text('Length, bytes') },
          {
            name: 'read',
            signatures: [
              {
                name: 'read',
                type: { type: 'reference', name: 'Promise' },
                parameters: [{ name: 'offset', type: { type: 'union', types: [number] } }],
              },
            ],
          },
          {
            name: 'close',
            implementationOf: {},
            signatures: [{ name: 'close', type: { type: 'reference', name: 'Promise' } }],
          },
        ],
      },
    ],
  };
  t.same(docstringProblems(project), [
    "Other.size: does not say 'bytes'",
    'Other.read: has no @throws',
    "Other.read: does not say 'bytes' of offset",
  ]);
});
