import { type CheckResult, type Disk, isLamellaError, type RepairMode } from 'lamella';
import { defineCommand } from '../../command-line/command.js';
import { decimals } from '../../command-line/decimals.js';
import { Failure, wrongUsage } from '../../command-line/failure.js';
import { formatJson } from '../../command-line/json.js';
import { complain, type Session } from '../../command-line/session.js';
import { findingLines, snapshotTableFailure, wantsRebuild } from '../../messages/check-findings.js';
import { problemText } from '../../messages/problem.js';
import {
  assertOneNaming,
  type CommonSettings,
  FORCE_SHARE,
  FORMAT,
  IMAGE_OPTS,
  OBJECT,
  OUTPUT,
  onlyOperand,
  QUIET,
  SOURCE_CACHE,
  sourceCacheMode,
} from '../common-options.js';
import { openForCheck } from '../open-for-check.js';
import { progressOf } from '../progress.js';

/** Exit codes that scripts know. */
const EXIT = { clean: 0, error: 1, corrupt: 2, leaks: 3, unsupported: 63 } as const;

interface Settings extends CommonSettings {
  repair?: RepairMode;
}

/** `check`. */
export const check = defineCommand<Settings>({
  name: 'check',
  summary: 'Look for damage in an image, and repair it',
  operands: 'FILE',
  settings: () => ({}),
  options: [
    FORMAT,
    IMAGE_OPTS,
    SOURCE_CACHE,
    FORCE_SHARE,
    QUIET,
    OUTPUT,
    OBJECT,
    {
      short: 'r',
      long: 'repair',
      takesValue: true,
      metavar: 'leaks|all',
      help: 'repair leaked clusters, or everything that can be repaired',
      apply(settings, value) {
        if (value !== 'leaks' && value !== 'all') {
          throw wrongUsage(`Unknown option value for -r (expecting 'leaks' or 'all'): ${value}`);
        }
        settings.repair = value;
      },
    },
  ],
  async run(session, settings, operands) {
    const text = onlyOperand(operands);
    assertOneNaming(settings);
    const { repair = 'none', forceShare, format, imageOpts } = settings;
    const cache = sourceCacheMode(settings.sourceCache);
    const opened = await openForCheck(
      session,
      { text, format, imageOpts },
      {
        writable: repair !== 'none',
        forceShare,
        cache,
      },
    );
    try {
      const { disk } = opened;
      let result = await checkDisk(session, settings, disk, repair);
      const json = settings.output === 'json';
      const unreachable = snapshotTableFailure(result.findings);
      if (unreachable !== undefined) {
        complain(session, unreachable.line);
        throw new Failure(`Check failed: ${unreachable.why}`, { exitCode: EXIT.error });
      }
      sayFindings(session, result, repair, disk.format);
      if (wantsRebuild(result.findings)) {
        throw new Failure('Check failed: Input/output error', { exitCode: EXIT.error });
      }
      const { corruptionsFixed, leaksFixed } = result;
      if (corruptionsFixed + leaksFixed > 0) {
        if (!json && settings.quiet !== true) {
          session.out(
            'The following inconsistencies were found and repaired:\n\n' +
              `    ${leaksFixed} leaked clusters\n` +
              `    ${corruptionsFixed} corruptions\n\n` +
              'Double checking the fixed image now...\n',
          );
        }
        result = {
          ...(await checkDisk(session, settings, disk, 'none')),
          corruptionsFixed,
          leaksFixed,
        };
        sayFindings(session, result, 'none', disk.format);
      }
      if (settings.quiet !== true || json) {
        session.out(json ? jsonResult(result, text, disk.format) : humanResult(result));
      }
      if (result.checkErrors > 0) {
        throw new Failure('Check failed', { exitCode: EXIT.error });
      }
      return exitCode(result);
    } catch (error) {
      if (isLamellaError(error, 'UNSUPPORTED')) {
        throw new Failure('This image format does not support checks', {
          exitCode: EXIT.unsupported,
        });
      }
      if (isLamellaError(error)) {
        throw new Failure(`Check failed: ${problemText(error)}`, {
          exitCode: EXIT.error,
          cause: error,
        });
      }
      throw error;
    } finally {
      await opened.disk.close();
    }
  },
});

async function checkDisk(
  session: Session,
  settings: Settings,
  disk: Disk,
  repair: RepairMode,
): Promise<CheckResult> {
  const title = repair === 'none' ? 'check' : 'repair';
  const progress = progressOf(session, settings, { title, unit: 'steps' });
  try {
    const result = await disk.check({
      repair,
      signal: session.signal,
      onProgress: progress.update,
    });
    progress.finish();
    return result;
  } catch (error) {
    progress.end();
    throw error;
  }
}

function sayFindings(
  session: Session,
  { findings }: CheckResult,
  repair: RepairMode,
  format: string,
): void {
  for (const line of findingLines(findings, repair, format)) {
    session.error(`${line}\n`);
  }
}

function humanResult(result: CheckResult): string {
  const { corruptions, leaks, checkErrors } = result;
  const lines: string[] = [];
  if (corruptions === 0 && leaks === 0 && checkErrors === 0) {
    lines.push('No errors were found on the image.');
  } else {
    if (corruptions > 0) {
      lines.push(
        `\n${corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.`,
      );
    }
    if (leaks > 0) {
      lines.push(
        `\n${leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.`,
      );
    }
    if (checkErrors > 0) {
      lines.push(`\n${checkErrors} internal errors have occurred during the check.`);
    }
  }
  const { totalClusters = 0, allocatedClusters = 0, imageEndOffset = 0 } = result;
  if (totalClusters > 0 && allocatedClusters > 0) {
    lines.push(allocationLine(result, totalClusters, allocatedClusters));
  }
  if (imageEndOffset > 0) {
    lines.push(`Image end offset: ${imageEndOffset}`);
  }
  return `${lines.join('\n')}\n`;
}

function allocationLine(
  { fragmentedClusters = 0, compressedClusters = 0 }: CheckResult,
  total: number,
  allocated: number,
): string {
  const percent = (part: number, whole: number): string => `${decimals((part * 100) / whole, 2)}%`;
  return (
    `${allocated}/${total} = ${percent(allocated, total)} allocated, ` +
    `${percent(fragmentedClusters, allocated)} fragmented, ` +
    `${percent(compressedClusters, allocated)} compressed clusters`
  );
}

function jsonResult(result: CheckResult, filename: string, format: string): string {
  const some = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);
  return `${formatJson({
    'image-end-offset': some(result.imageEndOffset),
    'compressed-clusters': some(result.compressedClusters),
    'total-clusters': some(result.totalClusters),
    'corruptions-fixed': some(result.corruptionsFixed),
    corruptions: some(result.corruptions),
    'check-errors': result.checkErrors,
    'leaks-fixed': some(result.leaksFixed),
    leaks: some(result.leaks),
    'allocated-clusters': some(result.allocatedClusters),
    filename,
    format,
    'fragmented-clusters': some(result.fragmentedClusters),
  })}\n`;
}

function exitCode({ corruptions, leaks }: CheckResult): number {
  if (corruptions > 0) {
    return EXIT.corrupt;
  }
  if (leaks > 0) {
    return EXIT.leaks;
  }
  return EXIT.clean;
}
