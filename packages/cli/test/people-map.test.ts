import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Disk, Lamella } from 'lamella';
import t from 'tap';
import { ticksOf } from '#internal/people/picture/axis.js';
import { collectPicture } from '#internal/people/picture/collect.js';
import { Columns, columnStart } from '#internal/people/picture/columns.js';
import { drawHtml } from '#internal/people/picture/html.js';
import { escapeMarkup, shorten } from '#internal/people/picture/markup.js';
import type { Picture } from '#internal/people/picture/picture.js';
import { drawSvg } from '#internal/people/picture/svg.js';
import { runPeople } from './support/people.js';
import { runOurs } from './support/programs.js';
import { skipWithoutQemu } from './support/qemu.js';
import { temporary } from './support/temporary.js';
import { wordsOf } from './support/words.js';

const MIB = 1024 * 1024;

function pictureOf(disk: Disk, offset = 0, length = disk.size - offset): Promise<Picture> {
  const { signal } = new AbortController();
  return collectPicture({ title: 'x', disk, offset, length, signal, onProgress: () => undefined });
}

/** A row of `qemu-img map --output=json`. */
interface Row {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly data: boolean;
  readonly offset?: number;
}

interface Write {
  readonly layer: number;
  readonly verb: string;
  readonly cluster: number;
  readonly clusters: number;
}

const write: fc.Arbitrary<Write> = fc.record({
  layer: fc.nat(2),
  verb: fc.constantFrom('write', 'write -z', 'write -c'),
  cluster: fc.nat(400),
  clusters: fc.integer({ min: 1, max: 40 }),
});

t.test('columns hold what qemu-img maps to each layer', skipWithoutQemu, async (t) => {
  const directory = temporary(t);
  const lamella = new Lamella();
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 12 }), fc.nat(20), async (writes, from) => {
      makeChain(directory, writes);
      const rows: readonly Row[] = JSON.parse(
        execFileSync('qemu-img', ['map', '--output=json', 'top.qed'], {
          cwd: directory,
          encoding: 'utf8',
        }),
      );
      const disk = await lamella.open(join(directory, 'top.qed'));
      try {
        // Columns of uneven widths, and a beginning within an extent.
        const { visible, scale } = await pictureOf(disk, from * 4096);
        for (let column = 0; column < scale.columns; column += 1) {
          const [start, end] = [columnStart(scale, column), columnStart(scale, column + 1)];
          for (const depth of [0, 1, 2]) {
            const ours =
              visible.bytes(column, depth, 'data') + visible.bytes(column, depth, 'compressed');
            const theirs = dataIn(rows, depth, start, end);
            if (ours !== theirs) {
              throw new Error(
                `column ${column} (${start}-${end}), layer ${depth}: ${ours}, not ${theirs}`,
              );
            }
          }
          for (const { kind, layer, offset, hostOffset } of visible.noted(column)) {
            const row = rows.find(({ start: at, length }) => at <= offset && offset < at + length);
            const expected =
              row?.offset === undefined ? undefined : row.offset + offset - row.start;
            if (kind === 'data' && (row?.depth !== layer || expected !== hostOffset)) {
              throw new Error(
                `${offset} is at ${layer}:${hostOffset}, not ${row?.depth}:${expected}`,
              );
            }
          }
        }
      } finally {
        await disk.close();
      }
    }),
    { numRuns: 12 },
  );
  t.pass('for random chains of three layers');
});

function makeChain(directory: string, writes: readonly Write[]): void {
  const run = (...words: readonly string[]): void => {
    execFileSync(words[0] ?? '', words.slice(1), {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  };
  run('rm', '-f', 'base.raw');
  run('qemu-img', 'create', '-q', '-f', 'raw', 'base.raw', '30M');
  run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'middle.qcow2');
  run('qemu-img', 'create', '-q', '-f', 'qed', '-b', 'middle.qcow2', '-F', 'qcow2', 'top.qed');
  for (const [index, name] of ['top.qed', 'middle.qcow2', 'base.raw'].entries()) {
    const own = writes.filter(({ layer }) => layer === index);
    // Compressed clusters first and once: QEMU writes none over what is there.
    const packed = name === 'middle.qcow2' ? own.filter(({ verb }) => verb === 'write -c') : [];
    const commands = [
      ...[...new Set(packed.map(({ cluster }) => `write -c ${cluster * 64}k 64k`))],
      ...own
        .filter((one) => !packed.includes(one))
        .map(({ verb, cluster, clusters }) => {
          const plain = verb === 'write -c' ? 'write' : verb;
          return `${plain} ${cluster * 64}k ${clusters * 64}k`;
        }),
    ].flatMap((command) => ['-c', command]);
    if (commands.length > 0) {
      run('qemu-io', '-f', name.split('.')[1] ?? '', ...commands, name);
    }
  }
}

function dataIn(rows: readonly Row[], depth: number, start: number, end: number): number {
  return rows.reduce((sum, row) => {
    const inside = Math.min(end, row.start + row.length) - Math.max(start, row.start);
    return row.data && row.depth === depth ? sum + Math.max(0, inside) : sum;
  }, 0);
}

t.test('each layer tells what it holds, hidden or not', async (t) => {
  const directory = t.testdir();
  const lamella = new Lamella();
  const at = (name: string): string => join(directory, name);
  await lamella.create(at('base.raw'), { format: 'raw', size: 8 * MIB });
  await lamella.create(at('top.qcow2'), { format: 'qcow2', backing: 'base.raw' });
  const base = await lamella.open(at('base.raw'), { writable: true, format: 'raw' });
  await base.write(new Uint8Array(4 * MIB).fill(1), 0);
  await base.close();
  const top = await lamella.open(at('top.qcow2'), { writable: true });
  await top.write(new Uint8Array(MIB).fill(2), 2 * MIB);
  await top.close();
  const disk = await lamella.open(at('top.qcow2'));
  const { visible, layers } = await pictureOf(disk);
  await disk.close();
  t.equal(layers[1]?.own.total(undefined, 'data'), 4 * MIB);
  t.equal(visible.total(1, 'data'), 3 * MIB);
  t.equal(visible.total(0, 'data'), MIB);
  t.equal(layers[0]?.own.total(undefined, 'data'), MIB);
});

t.test('pictures stay small, however many extents there are', async (t) => {
  const size = 2 ** 40;
  const scale = { offset: 0, length: size, columns: 480 };
  const visible = new Columns(scale, 2);
  const own = new Columns(scale, 1);
  const before = process.memoryUsage().heapUsed;
  const step = 2 ** 21;
  for (let offset = 0; offset < size; offset += step) {
    const extent = {
      offset,
      length: 65536,
      kind: 'data',
      layer: 0,
      hostOffset: offset / 32,
    } as const;
    visible.add(extent);
    own.add(extent);
  }
  t.equal(own.total(undefined, 'data'), (size / step) * 65536, 'no byte is lost');
  t.ok(process.memoryUsage().heapUsed - before < 20 * MIB, 'memory is bounded');
  const layer = {
    number: 0,
    location: 'x',
    dataFile: undefined,
    format: 'qcow2',
    size,
    allocated: 0,
    own,
  };
  const picture: Picture = {
    title: 'x',
    size,
    scale,
    visible,
    layers: [layer],
    missing: undefined,
  };
  t.ok(drawSvg(picture).length < 300_000);
  t.ok(drawHtml(picture).length < 300_000);
});

t.test('deep chains', async (t) => {
  const directory = t.testdir();
  const lamella = new Lamella();
  const names = Array.from({ length: 100 }, (_, index) => `layer${index}.qcow2`);
  for (const [index, name] of names.entries()) {
    const backing = names[index - 1];
    await lamella.create(join(directory, name), {
      format: 'qcow2',
      size: MIB,
      ...(backing === undefined ? {} : { backing }),
    });
  }
  const disk = await lamella.open(join(directory, names.at(-1) ?? ''));
  const svg = drawSvg(await pictureOf(disk));
  await disk.close();
  for (const name of names) {
    t.ok(svg.includes(name), name);
  }
  t.ok(svg.length < 500_000);
});

t.test('disks without bytes, and tiny ones', async (t) => {
  const directory = t.testdir();
  for (const size of [0, 512, 1536]) {
    await runOurs(directory, ['create', '-q', '-f', 'raw', 'a.raw', String(size)]);
    const { code, stderr, stdout } = await runPeople(directory, ['map', '--svg', '-', 'a.raw']);
    t.same({ code, stderr }, { code: 0, stderr: '' }, `${size} bytes`);
    t.match(stdout, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\n$/);
    t.notMatch(stdout, /NaN|Infinity|undefined/);
  }
});

t.test('the command writes files, whole or not at all', async (t) => {
  const directory = t.testdir();
  await runOurs(directory, wordsOf('create -q -f qcow2 a.qcow2 1M'));
  const both = await runPeople(directory, wordsOf('map --svg a.svg --html a.html a.qcow2'));
  t.same(both, { stdout: '', stderr: '', code: 0 });
  t.match(readFileSync(join(directory, 'a.svg'), 'utf8'), /^<svg /);
  t.match(readFileSync(join(directory, 'a.html'), 'utf8'), /^<!doctype html>/);
  const nowhere = await runPeople(directory, wordsOf('map --svg none/a.svg a.qcow2'));
  t.match(nowhere, {
    code: 1,
    stderr: /Could not write 'none\/a\.svg': No such file or directory/,
  });
  const digest = (): string =>
    createHash('sha1')
      .update(readFileSync(join(directory, 'a.qcow2')))
      .digest('hex');
  const before = digest();
  symlinkSync('a.qcow2', join(directory, 'link.svg'));
  for (const target of ['a.qcow2', './a.qcow2', 'link.svg']) {
    const { code, stderr } = await runPeople(directory, ['map', '--svg', target, 'a.qcow2']);
    t.match(
      { code, stderr },
      { code: 1, stderr: /is an image that the picture would show/ },
      target,
    );
  }
  t.equal(digest(), before, 'the image is as it was');
  t.same(readdirSync(directory).toSorted(), ['a.html', 'a.qcow2', 'a.svg', 'link.svg']);
});

t.test('a missing backing file is part of the picture', async (t) => {
  const directory = t.testdir();
  await runOurs(directory, wordsOf('create -q -u -f qcow2 -b gone.raw -F raw a.qcow2 4M'));
  const { stdout, code } = await runPeople(directory, wordsOf('map --svg - a.qcow2'));
  t.equal(code, 0);
  t.match(stdout, 'unknown: the backing file is missing');
  t.match(stdout, '>gone.raw</text>');
  t.match(stdout, 'url(#missing)');
});

t.test('the map of an encrypted image needs no passphrase', async (t) => {
  const directory = t.testdir();
  const lamella = new Lamella();
  const location = join(directory, 'e.qcow2');
  const options = { 'encrypt.format': 'luks', 'encrypt.iter-time': 10 };
  await lamella.create(location, { format: 'qcow2', size: 4 * MIB, passphrase: 'abc', options });
  const disk = await lamella.open(location, { writable: true, passphrase: 'abc' });
  await disk.write(new Uint8Array(MIB).fill(1), MIB);
  await disk.close();
  const { stdout, code } = await runPeople(directory, wordsOf('map --svg - e.qcow2'));
  t.equal(code, 0);
  t.match(stdout, 'encrypted data: 0x100000–0x200000 (1 MiB), layer 0 e.qcow2');
  const plain = await lamella.open(location, { metadataOnly: true });
  await t.rejects(plain.read(new Uint8Array(512), MIB), { code: 'PASSPHRASE_REQUIRED' });
  await plain.close();
});

t.test('names cannot become markup', async (t) => {
  const directory = t.testdir();
  const evil = `<script>alert(1)<\u200f& "'>.raw`;
  writeFileSync(join(directory, evil.replace('/', '')), new Uint8Array(4096).fill(1));
  await runOurs(directory, ['create', '-q', '-f', 'qcow2', '-b', evil, '-F', 'raw', 'a.qcow2']);
  for (const [option, tags] of [
    ['--svg', 0],
    ['--html', 1],
  ] as const) {
    const { stdout, code } = await runPeople(directory, ['map', option, '-', 'a.qcow2']);
    t.equal(code, 0);
    t.equal(stdout.match(/<script/g)?.length ?? 0, tags, `scripts in ${option}`);
    t.notOk(stdout.includes('\u200f'));
    t.match(stdout, '&lt;script&gt;alert(1)&lt;\ufffd&amp; &quot;&#39;&gt;.raw');
  }
  t.equal(escapeMarkup('a\u0000\u001b\ud800<\n'), 'a\ufffd\ufffd\ufffd&lt;\n');
});

t.test('long names keep both their ends', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.integer({ min: 4, max: 60 }),
      (name, room) => {
        const text = shorten(name, room);
        const width = [...text].reduce(
          (sum, letter) =>
            sum +
            ((letter.codePointAt(0) ?? 0) >= 0x1100 && letter !== '…' && letter !== '\ufffd'
              ? 2
              : 1),
          0,
        );
        return width <= room + 2;
      },
    ),
  );
  t.match(
    shorten(`/very/long/${'x'.repeat(200)}/disk.qcow2`, 30),
    /^\/very\/lo.*….*\/disk\.qcow2$/,
  );
});

t.test('marks of the axis are round and apart', async (t) => {
  for (const length of [512, 1000 * 512, 3 * MIB, 10 ** 9, 5 * 2 ** 30, 2 ** 40, 2 ** 53 - 512]) {
    const ticks = ticksOf({ offset: 0, length, columns: 480 });
    t.equal(ticks[0]?.label, '0');
    t.equal(ticks.at(-1)?.position, length);
    t.ok(
      ticks.length >= 2 && ticks.length <= 11,
      `${length}: ${ticks.map(({ label }) => label).join(' ')}`,
    );
    for (const [index, { position }] of ticks.entries()) {
      const next = ticks[index + 1];
      t.ok(next === undefined || next.position - position > length * 0.06);
    }
  }
});

t.test('plain map says what to use where its table ends', skipWithoutQemu, async (t) => {
  const directory = t.testdir();
  await runOurs(directory, wordsOf('create -q -f raw -o preallocation=full a.raw 1M'));
  writeFileSync(join(directory, 'a.raw'), new Uint8Array(MIB).fill(7));
  await runOurs(directory, wordsOf('convert -c -O qcow2 a.raw a.qcow2'));
  t.ok(statSync(join(directory, 'a.qcow2')).size > 0);
  const { code, stderr } = await runPeople(directory, wordsOf('map a.qcow2'));
  t.match(
    { code, stderr },
    { code: 1, stderr: /compressed clusters.*\n {2}fix: .*--output json.*--html/ },
  );
});
