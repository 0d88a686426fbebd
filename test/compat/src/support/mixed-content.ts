import { randomBytes } from 'node:crypto';
import { pattern } from './bytes.js';

/** What a cluster may hold: the kinds compress well, somewhat, not at all, and to nothing. */
export type ContentKind = 'text' | 'pattern' | 'random' | 'zeroes';

const WORDS = ['lamella ', 'cluster ', 'refcount ', 'sector\n', 'mapping ', 'entry '];

/** Bytes of one kind. */
export function contentOf(kind: ContentKind, seed: number, length: number): Uint8Array {
  switch (kind) {
    case 'text':
      return text(seed, length);
    case 'pattern':
      return pattern(seed, 0, length).map((byte, i) => (i % 3 === 0 ? byte : 65 + (seed % 26)));
    case 'random':
      return new Uint8Array(randomBytes(length));
    case 'zeroes':
      return new Uint8Array(length);
  }
}

const KINDS: readonly ContentKind[] = ['text', 'pattern', 'text', 'random', 'pattern', 'zeroes'];

/** Content whose kind changes every few clusters. */
export function mixedContent(size: number, unit: number): Uint8Array {
  const content = new Uint8Array(size);
  for (let at = 0, i = 0; at < size; at += unit, i += 1) {
    const kind = KINDS[Math.floor(i / 2) % KINDS.length] ?? 'text';
    content.set(contentOf(kind, i, Math.min(unit, size - at)), at);
  }
  return content;
}

function text(seed: number, length: number): Uint8Array {
  let state = seed + 1;
  let words = '';
  while (words.length < length) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words += `${WORDS[state % WORDS.length]}${state % 97} `;
  }
  return new TextEncoder().encode(words.slice(0, length));
}
