import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs } from '@lamella/test-support';
import t from 'tap';
import { runOurs, runQemu } from './support/programs.js';

const needsQemu = needs('qemu-img', 'qemu-io');

/** Larger and smaller clusters than a step of copying; clusters that the image holds in part. */
const LAYOUTS = ['cluster_size=64k', 'cluster_size=2M,extended_l2=on', 'cluster_size=4k'];

const COMMANDS = [
  'qemu-img create -q -f raw base.raw 10241k',
  'qemu-io -f raw base.raw -c "write -P 17 0 3M" -c "write -P 34 5000k 4k" -c "write -P 51 6001k 3000k"',
  'qemu-img create -q -f raw new.raw 9M',
  'qemu-io -f raw new.raw -c "write -P 17 0 1M" -c "write -P 34 8M 100k" -c "write -P 51 6100k 300k"',
  'qemu-io over.qcow2 -c "write -P 7 1200k 64k" -c "write -z 6M 256k" -c "write -P 1 7100k 10k"',
];

for (const layout of LAYOUTS) {
  t.test(`rebase -c keeps the disk and compresses: ${layout}`, needsQemu, async (t) => {
    const directory = t.testdir();
    const sh = (command: string): string =>
      execFileSync('sh', ['-c', command], { cwd: directory, encoding: 'utf8' });
    for (const command of COMMANDS.slice(0, 4)) {
      sh(command);
    }
    sh(`qemu-img create -q -f qcow2 -o ${layout} -b base.raw -F raw over.qcow2`);
    sh(COMMANDS[4] ?? '');
    sh('qemu-img convert -O raw over.qcow2 before.raw');
    copyFileSync(join(directory, 'over.qcow2'), join(directory, 'again.qcow2'));
    for (const [name, words] of [
      ['over.qcow2', ['rebase', '-c', '-b', 'new.raw', '-F', 'raw', 'over.qcow2']],
      ['again.qcow2', ['rebase', '--compress', '-b', '', 'again.qcow2']],
    ] as const) {
      t.same(await runOurs(directory, words), { stdout: '', stderr: '', code: 0 }, words.join(' '));
      t.equal(runQemu(directory, ['compare', 'before.raw', name]).code, 0, `${name}: same disk`);
      const { stdout, code } = runQemu(directory, ['check', '--output=json', name]);
      t.equal(code, 0, `${name}: sound`);
      const { 'compressed-clusters': compressed }: Record<string, unknown> = JSON.parse(stdout);
      t.ok(Number(compressed) > 0, `${name}: ${compressed} clusters are compressed`);
    }
  });
}

t.test('rebase -c refuses formats without compression', needsQemu, async (t) => {
  const directory = t.testdir();
  execFileSync('qemu-img', ['create', '-q', '-f', 'qed', 'plain.qed', '1M'], { cwd: directory });
  t.same(await runOurs(directory, ['rebase', '-c', '-b', '', 'plain.qed']), {
    stdout: '',
    stderr: 'qemu-img: Compression not supported for this file format\n',
    code: 1,
  });
});
