/** A command line: commands on one image, several to a run. */
export function on(image: string, ...commands: readonly string[]): string {
  return `${commands.map((command) => `-c '${command}'`).join(' ')} ${image}`;
}
