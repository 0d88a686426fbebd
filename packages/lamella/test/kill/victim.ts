import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { plainNode } from '@lamella/test-support';
import type { PlannedWrite } from './writer.js';

const WRITER = fileURLToPath(new URL('./writer.js', import.meta.url));

/** What a writer said until it was killed. */
export interface LastWords {
  /** Batches that were durable. */
  readonly flushed: readonly (readonly PlannedWrite[])[];
  /** A batch that was begun and never acknowledged. */
  readonly begun: readonly PlannedWrite[];
  /** What it complained about. */
  readonly complaints: string;
}

function isPlan(value: unknown): value is PlannedWrite[] {
  return (
    Array.isArray(value) &&
    value.every((each: unknown) => typeof each === 'object' && each !== null && 'offset' in each)
  );
}

/** Starts a writer on an image and kills it some time after its first flush. */
export async function writeUntilKilled(
  path: string,
  format: string,
  seed: number,
  milliseconds: number,
): Promise<LastWords> {
  const child = spawn(...plainNode(WRITER, path, format, String(seed)), {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const flushed: (readonly PlannedWrite[])[] = [];
  let begun: readonly PlannedWrite[] = [];
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const lines = createInterface({ input: child.stdout });
  let armed = false;
  lines.on('line', (line) => {
    if (line !== 'flushed') {
      const plan: unknown = JSON.parse(line);
      begun = isPlan(plan) ? plan : [];
      return;
    }
    flushed.push(begun);
    begun = [];
    if (!armed) {
      armed = true;
      setTimeout(() => child.kill('SIGKILL'), milliseconds);
    }
  });
  await Promise.all([
    new Promise((resolve) => child.on('close', resolve)),
    new Promise((resolve) => lines.on('close', resolve)),
  ]);
  return { flushed, begun, complaints };
}
