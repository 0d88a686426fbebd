import { distance } from 'fastest-levenshtein';

/**
 * The word that was most likely meant.
 *
 * @param known - the words that there are
 * @returns undefined if none is near
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const mostWrong = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = mostWrong + 1;
  for (const candidate of known) {
    const far = startsAlike(lower, candidate) ? 1 : distance(lower, candidate.toLowerCase());
    if (far < bestDistance) {
      best = candidate;
      bestDistance = far;
    }
  }
  return best;
}

/** A name that was cut short is near to the whole name, however long that is. */
function startsAlike(word: string, candidate: string): boolean {
  return word.length >= 3 && candidate.toLowerCase().startsWith(word);
}
