import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const TOOLS = ['qemu-img', 'qemu-io'];
const missing = TOOLS.filter((tool) => spawnSync(tool, ['--version']).status !== 0);

/** Skips a test where QEMU is missing, unless LAMELLA_REQUIRE_QEMU=1 says that it must be there. */
export const needsQemu: { skip?: string } =
  missing.length === 0 || process.env.LAMELLA_REQUIRE_QEMU === '1'
    ? {}
    : { skip: `not installed: ${missing.join(', ')}` };

/** Runs a program and gives what it prints. */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs qemu-io commands; it tells failures in its output only. */
export function qemuIo(path: string, ...commands: readonly string[]): void {
  const output = run(
    'qemu-io',
    '-f',
    'parallels',
    ...commands.flatMap((each) => ['-c', each]),
    path,
  );
  if (/failed|error/i.test(output)) {
    throw new Error(output);
  }
}

/** Runs lamella-img with this package's driver, as its users do. */
export function lamellaImg(...args: readonly string[]): string {
  const manifest = createRequire(import.meta.url).resolve('@lamella/cli/package.json');
  const program = join(dirname(manifest), 'bin', 'lamella-img.cjs');
  return run(process.execPath, program, '--driver', '@lamella-examples/driver-parallels', ...args);
}

/** Runs a program that may fail. */
export function outcome(program: string, ...args: readonly string[]) {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, stdout };
}
