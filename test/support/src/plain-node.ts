/** The program to start, and its arguments. */
type Start = readonly [program: string, args: string[]];

/**
 * How to start Node.js without what tap has every Node.js process load, which takes many times as long as
 * starting does and more memory than most children use. tap adds it to the environment of every child, so
 * the child itself has to take it out.
 */
export function plainNode(...args: readonly string[]): Start {
  return withoutTap(process.execPath, ...args);
}

/** The same for a program that starts Node.js. */
export function withoutTap(...words: readonly string[]): Start {
  return ['env', ['-u', 'NODE_OPTIONS', ...words]];
}
