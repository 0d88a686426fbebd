import { execFileSync, spawnSync } from 'node:child_process';

/** QEMU measures LUKS's iterations by CPU time, and gives up now and then where the clock is coarse. */
const COARSE_CLOCK = 'Unable to get accurate CPU usage';

/** Runs a tool and gives its output; throws with what it printed. */
export function run(command: string, ...args: readonly string[]): string {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      if (attempt === 10 || !String(error).includes(COARSE_CLOCK)) {
        throw error;
      }
    }
  }
}

/** What a tool answered, whatever its exit code. */
export function outcome(
  command: string,
  ...args: readonly string[]
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  for (let attempt = 1; ; attempt += 1) {
    const result = spawnSync(command, args, { encoding: 'utf8' });
    if (attempt === 10 || !result.stderr?.includes(COARSE_CLOCK)) {
      return result;
    }
  }
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
