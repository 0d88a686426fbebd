import { type CheckFinding, MAX_FINDINGS } from '@lamella/core';

/** The counts of a check. */
export interface Counts {
  readonly corruptions: number;
  readonly leaks: number;
  readonly checkErrors: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
}

/** State of a {@link Tally} to go back to. */
export interface TallyMark extends Counts {
  readonly findings: number;
}

/** Adds up what a check finds and mends. */
export class Tally {
  corruptions = 0;
  leaks = 0;
  checkErrors = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  /** Guest clusters with space in the file. */
  allocated = 0;
  /** Allocated guest clusters that do not follow their predecessor. */
  fragmented = 0;
  /** Compressed guest clusters. */
  compressed = 0;
  readonly findings: CheckFinding[] = [];

  /** Notes a corruption, mended or not. */
  corruption(message: string, offset?: number, fixed = false): void {
    if (fixed) {
      this.corruptionsFixed += 1;
    } else {
      this.corruptions += 1;
    }
    this.#add({ kind: 'corruption', message, offset, fixed });
  }

  /** Notes a leaked cluster, given back or not. */
  leak(message: string, offset: number, fixed: boolean): void {
    if (fixed) {
      this.leaksFixed += 1;
    } else {
      this.leaks += 1;
    }
    this.#add({ kind: 'leak', message, offset, fixed });
  }

  /** Notes something that kept the check from looking. */
  error(message: string, offset?: number): void {
    this.checkErrors += 1;
    this.#add({ kind: 'error', message, offset, fixed: false });
  }

  /** The state now. */
  mark(): TallyMark {
    const { corruptions, leaks, checkErrors, corruptionsFixed, leaksFixed } = this;
    return {
      corruptions,
      leaks,
      checkErrors,
      corruptionsFixed,
      leaksFixed,
      findings: this.findings.length,
    };
  }

  /** Goes back to an earlier state. */
  reset(mark: TallyMark): void {
    this.corruptions = mark.corruptions;
    this.leaks = mark.leaks;
    this.checkErrors = mark.checkErrors;
    this.corruptionsFixed = mark.corruptionsFixed;
    this.leaksFixed = mark.leaksFixed;
    this.findings.length = mark.findings;
  }

  /** Starts the statistics of guest clusters anew. */
  resetStatistics(): void {
    this.allocated = 0;
    this.fragmented = 0;
    this.compressed = 0;
  }

  #add(finding: CheckFinding): void {
    if (this.findings.length < MAX_FINDINGS) {
      this.findings.push(finding);
    }
  }
}
