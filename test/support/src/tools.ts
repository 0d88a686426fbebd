import { spawnSync } from 'node:child_process';

/** How a tool ended and what it said. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** QEMU measures by CPU time how fast it derives keys, and gives up now and then where the clock is coarse. */
const COARSE_CLOCK = 'Unable to get accurate CPU usage';
const ATTEMPTS = 10;
const MOST_OUTPUT = 64 * 1024 * 1024;

/**
 * Runs a tool to its end, whatever its exit code.
 *
 * @param options - as those of `spawnSync`
 * @throws Error where it can't be started or takes too long
 */
export function outcome(
  tool: string,
  args: readonly string[],
  options: {
    readonly cwd?: string;
    readonly encoding?: BufferEncoding;
    readonly input?: string;
    readonly timeout?: number;
  } = {},
): Outcome {
  for (let attempt = 1; ; attempt += 1) {
    const { status, stdout, stderr, error } = spawnSync(tool, args, {
      encoding: 'utf8',
      maxBuffer: MOST_OUTPUT,
      ...options,
    });
    if (error !== undefined) {
      throw error;
    }
    if (attempt === ATTEMPTS || !stderr.includes(COARSE_CLOCK)) {
      return { status, stdout, stderr };
    }
  }
}

/**
 * Runs a tool and gives its output.
 *
 * @throws Error with what it said when it fails
 */
export function run(tool: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = outcome(tool, args);
  if (status !== 0) {
    throw new Error(`${tool} ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
  }
  return stdout;
}

/**
 * Runs qemu-io commands on one image.
 *
 * @throws Error when one fails: qemu-io itself says so in its output only
 */
export function qemuIo(format: string, path: string, ...commands: readonly string[]): void {
  const output = run('qemu-io', '-f', format, ...commands.flatMap((each) => ['-c', each]), path);
  if (/failed|error/i.test(output)) {
    throw new Error(output);
  }
}

/**
 * Options for a test that needs tools: skips it, visibly, where one is missing, unless
 * LAMELLA_REQUIRE_QEMU=1 says that they must be there: then it runs and fails.
 */
export function needs(...tools: readonly string[]): { readonly skip?: string } {
  const missing = tools.filter((tool) => spawnSync(tool, ['--version']).status !== 0);
  return missing.length === 0 || process.env.LAMELLA_REQUIRE_QEMU === '1'
    ? {}
    : { skip: `not installed: ${missing.join(', ')}` };
}
