import type { Outcome } from '../support/in-process.js';
import type { Case } from './differential.js';

/** Usage lines that gained `-r` (note 13). */
const USAGES: readonly (readonly [string, string])[] = [
  ['aio_read [-Ciqv]', 'aio_read [-Ciqrv]'],
  ['aio_write [-Cfiquz]', 'aio_write [-Cfiqruz]'],
  ['read [-abCqv]', 'read [-abCqrv]'],
  ['readv [-Cqv]', 'readv [-Cqrv]'],
  ['write [-bcCfnquz]', 'write [-bcCfnqruz]'],
  ['writev [-Cfq]', 'writev [-Cfqr]'],
];

/** A case whose expectation has what the current qemu-io says instead of what 7.2 says. */
export function newerUsage(one: Case): Case {
  const plain = typeof one === 'string' ? { run: one } : one;
  const { corrected } = plain;
  return {
    ...plain,
    corrected: (outcome) => withNewUsages(corrected?.(outcome) ?? outcome),
  };
}

function withNewUsages(outcome: Outcome): Outcome {
  const stdout = USAGES.reduce((text, [from, to]) => text.replaceAll(from, to), outcome.stdout);
  return { ...outcome, stdout };
}
