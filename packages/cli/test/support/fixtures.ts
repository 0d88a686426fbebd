import { outcome } from '@lamella/test-support';
import { HEADERS, METADATA, makeDamaged } from './damaged.js';

/** How the images that all cases start from are made, by QEMU's tools. */
const COMMANDS: readonly string[] = [
  'qemu-img create -q -f raw base.raw 1M',
  'qemu-io -f raw base.raw -c "write -P 17 0 64k" -c "write -P 34 256k 4k" -c "write -P 51 900k 100k"',
  'cp --sparse=always base.raw same.raw',
  'qemu-img create -q -f raw larger.raw 2M',
  'qemu-img create -q -f raw empty.raw 1M',
  'qemu-img create -q -f qcow2 -b base.raw -F raw over.qcow2',
  'qemu-io over.qcow2 -c "write -P 7 64k 64k" -c "write -z 256k 64k"',
  'qemu-img create -q -f qcow2 -b over.qcow2 -F qcow2 top.qcow2',
  'qemu-io top.qcow2 -c "write -P 9 128k 10k"',
  'qemu-img create -q -f qcow2 plain.qcow2 1M',
  'qemu-io plain.qcow2 -c "write -P 5 0 200k" -c "write -z 512k 64k"',
  'qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 1M',
  'qemu-io v2.qcow2 -c "write -P 6 100k 100k"',
  'qemu-img create -q -f qcow2 -o extended_l2=on,lazy_refcounts=on,refcount_bits=8 ext.qcow2 1M',
  'qemu-io ext.qcow2 -c "write -P 8 3k 5k"',
  'qemu-img create -q -f qcow2 -o refcount_bits=1 narrow.qcow2 1M',
  'qemu-io narrow.qcow2 -c "write -P 5 0 200k"',
  'qemu-img convert -c -O qcow2 base.raw packed.qcow2',
  'qemu-img convert -c -O qcow2 -o compression_type=zstd base.raw zstd.qcow2',
  'qemu-img create -q -f qcow2 snap.qcow2 1M',
  'qemu-io snap.qcow2 -c "write -P 1 0 64k"',
  'qemu-img snapshot -c one snap.qcow2',
  'qemu-io snap.qcow2 -c "write -P 2 0 128k"',
  'qemu-img snapshot -c two snap.qcow2',
  'qemu-img create -q -f qcow2 bits.qcow2 1M',
  'qemu-img bitmap --add bits.qcow2 first',
  'qemu-io bits.qcow2 -c "write -P 2 64k 64k"',
  'qemu-img bitmap --add -g 128k bits.qcow2 second',
  'qemu-img bitmap --disable bits.qcow2 second',
  'qemu-img create -q -f qed plain.qed 1M',
  'qemu-io plain.qed -c "write -P 4 0 100k"',
  'qemu-img create -q -f qed -b base.raw -F raw over.qed',
  'qemu-io over.qed -c "write -P 3 512k 64k"',
  'qemu-img create -q -f qcow2 --object secret,id=s,data=abc -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 luks.qcow2 1M',
  'qemu-img create -q -f qcow2 -u -b nowhere.raw -F raw orphan.qcow2 1M',
  'qemu-img create -q -f qcow2 -u -b orphan.qcow2 -F qcow2 grandchild.qcow2 1M',
];

/**
 * Makes images in a directory.
 *
 * @param lines - command lines: the images that none of them names are left out
 */
export function makeFixtures(directory: string, lines: readonly string[]): void {
  const wanted = new Set(namesIn(lines.join('\n')));
  const damaged = [...HEADERS, ...METADATA].filter(({ name }) => wanted.has(name));
  for (const { of } of damaged) {
    wanted.add(of);
  }
  for (const command of COMMANDS.toReversed()) {
    const [made = '', ...madeOf] = (command.match(NAME) ?? []).toReversed();
    for (const name of wanted.has(made) ? madeOf : []) {
      wanted.add(name);
    }
  }
  for (const command of COMMANDS.filter((one) => wanted.has(one.match(NAME)?.at(-1) ?? ''))) {
    const { status, stderr } = outcome('sh', ['-c', command], { cwd: directory });
    if (status !== 0) {
      throw new Error(`${command}: ${stderr}`);
    }
  }
  makeDamaged(directory, damaged);
}

/** What images need beside themselves. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  'over.qcow2': ['base.raw'],
  'top.qcow2': ['over.qcow2', 'base.raw'],
  'over.qed': ['base.raw'],
  'grandchild.qcow2': ['orphan.qcow2'],
};

/** The images that a command line names, and those that these need. */
export function namesIn(line: string): ReadonlySet<string> {
  const all = new Set(COMMANDS.flatMap((command) => command.match(NAME) ?? []));
  all.delete('nowhere.raw');
  for (const { name } of [...HEADERS, ...METADATA]) {
    all.add(name);
  }
  const named = (line.match(NAME) ?? []).filter((name) => all.has(name));
  return new Set(named.flatMap((name) => [name, ...(BELOW[name] ?? [])]));
}

const NAME = /[a-z0-9]+\.(?:raw|qcow2|qed)/g;
