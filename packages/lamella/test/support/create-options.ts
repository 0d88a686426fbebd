/** A create option with a value; undefined for one that is not given. */
export interface Choice {
  readonly option: string;
  readonly value: string | undefined;
}

/** Options with the values that are tried; those of one row differ in the option. */
export type Table = readonly (readonly Choice[])[];

/** Two choices that are tried together. */
export type Pair = readonly [Choice, Choice];

/** A table out of values by option. */
export function tableOf(
  values: Readonly<Record<string, readonly (string | undefined)[]>>,
): Choice[][] {
  return Object.entries(values).map(([option, list]) => list.map((value) => ({ option, value })));
}

/** Every pair of choices of two different options. */
export function allPairs(table: Table): Pair[] {
  return table.flatMap((choices, index) =>
    table
      .slice(index + 1)
      .flatMap((others) => choices.flatMap((a) => others.map((b): Pair => [a, b]))),
  );
}

/** A name for a pair that does not depend on the order. */
export function pairKey(a: Choice, b: Choice): string {
  return [a, b]
    .map(({ option, value }) => `${option}=${value ?? ''}`)
    .sort()
    .join(' ');
}

/**
 * Few rows of choices, one for each option, in which every allowed pair occurs.
 *
 * @param allowed - whether two choices go together
 */
export function coveringRows(table: Table, allowed: (a: Choice, b: Choice) => boolean): Choice[][] {
  const open = new Map(
    allPairs(table)
      .filter(([a, b]) => allowed(a, b))
      .map((pair) => [pairKey(...pair), pair]),
  );
  const rows: Choice[][] = [];
  for (let next = open.values().next().value; next !== undefined; ) {
    const row = completed(table, [...next], allowed, open);
    for (const [index, a] of row.entries()) {
      for (const b of row.slice(index + 1)) {
        open.delete(pairKey(a, b));
      }
    }
    open.delete(pairKey(...next));
    rows.push(row);
    next = open.values().next().value;
  }
  return rows;
}

/** Adds the choice of each other option that goes with all before and covers most open pairs. */
function completed(
  table: Table,
  start: readonly Choice[],
  allowed: (a: Choice, b: Choice) => boolean,
  open: ReadonlyMap<string, Pair>,
): Choice[] {
  const row = [...start];
  for (const choices of table) {
    if (row.some(({ option }) => option === choices[0]?.option)) {
      continue;
    }
    const fitting = choices
      .filter((choice) => row.every((other) => allowed(choice, other)))
      .map((choice) => ({
        choice,
        gain: row.filter((other) => open.has(pairKey(choice, other))).length,
      }))
      .sort((a, b) => b.gain - a.gain);
    const [best] = fitting;
    if (best === undefined) {
      throw new Error(`nothing of ${choices[0]?.option} goes with ${JSON.stringify(row)}`);
    }
    row.push(best.choice);
  }
  return row;
}
