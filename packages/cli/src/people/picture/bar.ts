import { KINDS, type Kind } from './extent-kind.js';
import { coordinate } from './markup.js';
import { fillOf } from './patterns.js';

/** Heights come in steps of this many parts of a bar, so that equal neighbours can be joined. */
const STEPS = 12;
/** What the least share gets of them: enough to be seen. */
const LEAST = 2;

/** What is in a column, of one sort. */
export interface Share {
  readonly kind: Kind;
  /** Whose colour it has. */
  readonly layer: number | undefined;
  /** A layer above hides it. */
  readonly hidden: boolean;
  readonly bytes: number;
}

/** A bar across the picture: where it is, and what each of its columns holds. */
export interface Bar {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Bytes of each column. */
  readonly capacity: (column: number) => number;
  readonly columns: number;
  readonly shares: (column: number) => readonly Share[];
}

/**
 * The drawing of a bar. A column is filled from below, as high as its share. The rest of it is tinted, so that
 * the smallest island in a wide column is seen.
 */
export function drawBar(bar: Bar): string {
  const runs = new Runs(bar);
  for (let column = 0; column < bar.columns; column += 1) {
    const shares = bar.shares(column).filter(({ bytes }) => bytes > 0);
    const isZero = ({ kind }: Share): boolean => kind === 'zero';
    const data = shares.filter((share) => !isZero(share));
    const capacity = bar.capacity(column);
    const filled = stack(runs, column, data, capacity, 0);
    stack(runs, column, shares.filter(isZero), capacity, filled);
    const [largest] = data.toSorted((a, b) => b.bytes - a.bytes);
    if (largest !== undefined && filled < STEPS) {
      const { kind, layer } = largest;
      runs.add(column, fillOf(kind, layer, 'thin'), filled, STEPS - filled);
    }
  }
  return runs.markup();
}

/** Puts shares on top of each other; gives how high they reach. */
function stack(
  runs: Runs,
  column: number,
  shares: readonly Share[],
  capacity: number,
  from: number,
): number {
  let filled = from;
  for (const { kind, layer, hidden, bytes } of shares) {
    const wanted = Math.max(LEAST, Math.round((bytes / capacity) * STEPS));
    const height = Math.min(wanted, STEPS - filled);
    if (height > 0) {
      runs.add(column, fillOf(kind, layer, hidden ? 'hidden' : undefined), filled, height);
      filled += height;
    }
  }
  return filled;
}

/** In which order sorts are stacked: what shows below what is hidden. */
export function stacked(shares: readonly Share[]): readonly Share[] {
  return shares.toSorted(
    (a, b) => Number(a.hidden) - Number(b.hidden) || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind),
  );
}

/** Rectangles of equal style and height side by side, joined. */
class Runs {
  readonly #bar: Bar;
  readonly #open = new Map<string, { from: number; to: number; base: number; height: number }>();
  readonly #paths = new Map<string, string[]>();

  constructor(bar: Bar) {
    this.#bar = bar;
  }

  add(column: number, style: string, base: number, height: number): void {
    const key = `${style} ${base} ${height}`;
    const run = this.#open.get(key);
    if (run !== undefined && run.to === column) {
      run.to += 1;
      return;
    }
    if (run !== undefined) {
      this.#close(style, run);
    }
    this.#open.set(key, { from: column, to: column + 1, base, height });
  }

  markup(): string {
    for (const [key, run] of this.#open) {
      this.#close(key.split(' ').slice(0, -2).join(' '), run);
    }
    this.#open.clear();
    return [...this.#paths]
      .map(([style, parts]) => `<path ${style} d="${parts.join('')}"/>`)
      .join('');
  }

  #close(
    style: string,
    { from, to, base, height }: { from: number; to: number; base: number; height: number },
  ): void {
    const bar = this.#bar;
    const unit = bar.height / STEPS;
    const [x, width] = [edge(bar, from), edge(bar, to) - edge(bar, from)];
    const y = bar.y + bar.height - (base + height) * unit;
    const numbers = [x, y, width, height * unit].map(coordinate);
    const path = this.#paths.get(style) ?? [];
    path.push(`M${numbers[0]} ${numbers[1]}h${numbers[2]}v${numbers[3]}h-${numbers[2]}z`);
    this.#paths.set(style, path);
  }
}

/** Where a column begins. */
export function edge({ x, width, columns }: Bar, column: number): number {
  return x + (width / columns) * column;
}
