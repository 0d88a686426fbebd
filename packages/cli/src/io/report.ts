import { rateText, sizeText } from './sizes.js';

/** What was done, and how the user wants to hear of it. */
export interface Done {
  /** `read`, `wrote`, `discard`. */
  readonly what: string;
  readonly offset: bigint;
  readonly bytes: bigint;
  readonly milliseconds: number;
}

/** Which report a request gets. */
export interface ReportSettings {
  /** `-q`: none. */
  quiet: boolean;
  /** `-C`: one line for programs. */
  machine: boolean;
}

/** The report of a request; nothing for a quiet one. */
export function reportText(done: Done, { quiet, machine }: ReportSettings): string {
  if (quiet) {
    return '';
  }
  const { what, offset, bytes, milliseconds } = done;
  // A clock that did not move says nothing about the rate.
  const seconds = Math.max(milliseconds, 1e-3) / 1000;
  const rate = Number(bytes) / seconds;
  if (machine) {
    return `${bytes},1,${clockText(seconds, true)},${rate.toFixed(3)},${(1 / seconds).toFixed(3)}\n`;
  }
  return (
    `${what} ${bytes}/${bytes} bytes at offset ${offset}\n` +
    `${sizeText(bytes)}, 1 ops; ${clockText(seconds, false)} ` +
    `(${rateText(rate)}/sec and ${(1 / seconds).toFixed(4)} ops/sec)\n`
  );
}

/** `00.12 sec`; with hours and minutes where they are wanted or there are any. */
function clockText(seconds: number, full: boolean): string {
  const text = (seconds % 60).toFixed(2).padStart(5, '0');
  const minutes = Math.floor(seconds / 60);
  if (!full && minutes === 0) {
    return `${text} sec`;
  }
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${text}`;
}
