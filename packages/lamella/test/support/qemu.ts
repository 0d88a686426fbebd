import { execFileSync, spawnSync } from 'node:child_process';

/** Runs a tool and gives its output; throws with what it printed. */
export function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a tool answered, whatever its exit code. */
export function outcome(
  command: string,
  ...args: readonly string[]
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(command, args, { encoding: 'utf8' });
}

/** qemu-io commands on one image; a failed one throws. */
export function qemuIo(format: string, path: string, ...commands: readonly string[]): void {
  const output = run('qemu-io', '-f', format, ...commands.flatMap((each) => ['-c', each]), path);
  if (/failed|error/i.test(output)) {
    throw new Error(output);
  }
}

function hasQemu(): boolean {
  try {
    run('qemu-img', '--version');
    run('qemu-io', '--version');
    return true;
  } catch {
    return false;
  }
}

/** Skips a test visibly where qemu is missing, unless it is required. */
export const skipWithoutQemu =
  hasQemu() || process.env.LAMELLA_REQUIRE_QEMU === '1'
    ? {}
    : { skip: 'qemu-img and qemu-io are not installed' };
