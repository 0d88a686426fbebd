import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { outcome } from '@lamella/test-support';

/** What is used of a tap test. */
export interface Teardown {
  teardown(action: () => unknown): void;
}

/** Runs a tool that may be refused: its exit code and all that it says. */
export function attempt(tool: string, ...args: string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = outcome(tool, args);
  return { status, said: stdout + stderr };
}

/** Bytes of a file that somebody has locked, sorted, as the system lists them. */
export function lockedBytes(path: string): number[] {
  const inode = `:${statSync(path).ino}`;
  const bytes = new Set<number>();
  for (const line of readFileSync('/proc/locks', 'latin1').split('\n')) {
    const [, type, , , , file, start, end] = line.split(/\s+/);
    if (type === 'OFDLCK' && file?.endsWith(inode) === true) {
      for (let byte = Number(start); byte <= Number(end); byte += 1) {
        bytes.add(byte);
      }
    }
  }
  return [...bytes].sort((a, b) => a - b);
}

/** A tool that holds an image open until it is told to end. */
export interface Holder {
  /** Resolves when the process has ended. */
  end(signal?: 'SIGKILL'): Promise<void>;
}

/** Opens an image with qemu-io and keeps it open. */
export async function holdWithQemuIo(test: Teardown, ...args: string[]): Promise<Holder> {
  const child = spawn('qemu-io', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const holder = held(test, child, () => child.stdin.end('quit\n'));
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
      // The image is open when it asks for a command and has carried one out.
      if (/read 512\/512/.test(said)) {
        resolve();
      }
    });
    child.once('exit', (code) => reject(new Error(`qemu-io ended with ${code}: ${said}`)));
    child.stdin.write('read 0 512\n');
  });
  return holder;
}

/** Opens an image with qemu-nbd and keeps it open. */
export async function holdWithQemuNbd(
  test: Teardown,
  socket: string,
  ...args: string[]
): Promise<Holder> {
  const child = spawn('qemu-nbd', ['-t', '-k', socket, ...args], { stdio: 'inherit' });
  const holder = held(test, child, () => child.kill('SIGTERM'));
  let exit: number | null | undefined;
  child.once('exit', (code) => {
    exit = code;
  });
  // It listens before it opens the image; only who is greeted knows that it serves.
  while (!(await greets(socket))) {
    if (exit !== undefined) {
      throw new Error(`qemu-nbd ended with ${exit}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return holder;
}

function greets(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('data', () => {
      resolve(true);
      connection.destroy();
    });
    connection.once('error', () => resolve(false));
    connection.once('close', () => resolve(false));
  });
}

function held(test: Teardown, child: ChildProcess, stop: () => void): Holder {
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal?: 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) {
      if (signal === undefined) {
        stop();
      } else {
        child.kill(signal);
      }
      await gone;
    }
  };
  test.teardown(() => end('SIGKILL'));
  return { end };
}
