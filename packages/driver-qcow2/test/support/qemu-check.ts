import { outcome } from '@lamella/test-support';

/** The counts that qemu-img check and we both give. */
export interface Verdict {
  readonly corruptions: number;
  readonly leaks: number;
  readonly checkErrors: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
  readonly imageEndOffset: number;
  readonly totalClusters: number;
  readonly allocatedClusters: number;
  readonly fragmentedClusters: number;
  readonly compressedClusters: number;
}

/** What qemu-img check says; without a verdict, what it complains about. */
export function qemuVerdict(
  path: string,
  repair: 'none' | 'leaks' | 'all',
): { readonly verdict?: Verdict; readonly text: string } {
  const mode = repair === 'none' ? [] : ['-r', repair];
  const result = outcome('qemu-img', ['check', '-f', 'qcow2', ...mode, '--output=json', path], {
    timeout: 60_000,
  });
  const start = result.stdout.indexOf('{');
  if (start < 0) {
    return { text: result.stderr };
  }
  const counts: Record<string, number | string | undefined> = JSON.parse(
    result.stdout.slice(start),
  );
  const count = (name: string) => Number(counts[name] ?? 0);
  return {
    text: `${result.stdout.slice(0, start)}${result.stderr}`,
    verdict: {
      corruptions: count('corruptions'),
      leaks: count('leaks'),
      checkErrors: count('check-errors'),
      corruptionsFixed: count('corruptions-fixed'),
      leaksFixed: count('leaks-fixed'),
      imageEndOffset: count('image-end-offset'),
      totalClusters: count('total-clusters'),
      allocatedClusters: count('allocated-clusters'),
      fragmentedClusters: count('fragmented-clusters'),
      compressedClusters: count('compressed-clusters'),
    },
  };
}
