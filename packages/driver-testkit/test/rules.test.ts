import { readFileSync } from 'node:fs';
import { RULES } from '@lamella/driver-testkit';
import t from 'tap';

t.test('the document has every rule, in its words, under its number', async (t) => {
  const document = readFileSync(new URL('../../driver-rules.md', import.meta.url), 'utf8');
  const written = [...document.matchAll(/^### (\S+)\n\n`([^`]+)`: (.+)$/gm)];
  t.same(
    written.map(([, number, of, text]) => [number, of, text]),
    Object.entries(RULES).map(([number, { of, text }]) => [number, of, text]),
  );
});
