import type { Task } from '../../command-line/session.js';
import type { Colours } from '../terminal/colours.js';
import { readableDuration, readableSize } from '../terminal/sizes.js';

/** Columns of the widest bar, and of the narrowest that says anything. */
const [WIDEST, NARROWEST] = [40, 8];

/** Columns of a size and of a time: the bar keeps its length while the figures change. */
const [SIZE_WIDTH, TIME_WIDTH] = [8, 16];

/** How far something is, and how it goes. */
export interface BarState {
  readonly task: Task;
  /** 0 to 1. */
  readonly share: number;
  readonly done: number;
  readonly total: number;
  /** In the task's unit, a second. */
  readonly rate: number;
  /** Seconds; undefined where nothing can be said. */
  readonly left: number | undefined;
  /** Seconds since the beginning. */
  readonly elapsed: number;
  /** No more will come. */
  readonly ended: boolean;
}

/**
 * The line of a progress bar.
 *
 * @param columns - of the terminal
 */
export function barText(state: BarState, columns: number, colours: Colours): string {
  const { task, share, ended } = state;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const time = ended ? took(state) : timeLeft(state);
  const facts = [percent, ...amounts(state), time];
  const width = facts.join('  ').length - time.length + TIME_WIDTH;
  const before = `${task.title} `;
  const room = Math.min(WIDEST, columns - 1 - before.length - width - 1);
  if (room < NARROWEST) {
    return shortText(before, facts, columns - 1);
  }
  const [head = '', ...rest] = facts;
  const tail = rest.map((text, index) => (index === 0 ? text : colours.dim(text))).join('  ');
  return `${colours.bold(task.title)} ${bar(share, room, colours)} ${colours.bold(head)}  ${tail}`;
}

/** Without a bar, as many of the facts as there is room for. */
function shortText(before: string, facts: readonly string[], room: number): string {
  const kept = [...facts];
  while (kept.length > 1 && before.length + kept.join('  ').length > room) {
    kept.pop();
  }
  return `${before}${kept.join('  ')}`.slice(0, Math.max(0, room));
}

function amounts({ task, done, total, rate }: BarState): readonly string[] {
  if (task.unit === 'steps') {
    return [];
  }
  const speed = rate > 0 ? `${readableSize(rate)}/s` : '';
  const whole = readableSize(total);
  return [`${readableSize(done).padStart(SIZE_WIDTH)} of ${whole}`, speed.padEnd(SIZE_WIDTH + 2)];
}

function timeLeft({ left }: BarState): string {
  return left === undefined ? '' : `${readableDuration(Math.max(1, left))} left`;
}

function took({ elapsed, share }: BarState): string {
  const time = elapsed < 10 ? `${elapsed.toFixed(1)} s` : readableDuration(elapsed);
  return share < 1 ? `stopped after ${time}` : `in ${time}`;
}

/** Eighths of a column, the last of them whole. */
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

function bar(share: number, room: number, colours: Colours): string {
  const eighths = Math.floor(share * room * 8);
  const full = '█'.repeat(Math.floor(eighths / 8));
  const part = EIGHTHS[eighths % 8] ?? '';
  const rest = '░'.repeat(room - full.length - part.length);
  return `${share >= 1 ? colours.green(full) : colours.cyan(full + part)}${colours.dim(rest)}`;
}
