/**
 * `npm run figure:qed-growth`: draws how an image file grows when a QED image, half of whose clusters a
 * repair found leaked, is filled again; beside it qemu-io on a copy, which never uses them.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lamella } from 'lamella';

const CLUSTER = 65536;
const CLUSTERS = 1000;
const STEP = 100;
const STEPS = 8;

/** Drops every other mapping and marks the image as unclean, as a crash may leave it. */
async function leakHalf(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const field = Buffer.alloc(8);
  await file.read(field, 0, 8, 40);
  await file.read(field, 0, 8, Number(field.readBigUInt64LE()));
  const table = Number(field.readBigUInt64LE());
  for (let cluster = 1; cluster < CLUSTERS; cluster += 2) {
    await file.write(Buffer.alloc(8), 0, 8, table + cluster * 8);
  }
  await file.write(Buffer.from([2]), 0, 1, 16);
  await file.close();
}

type Fill = (path: string, first: number) => Promise<void>;

const byLibrary: Fill = async (path, first) => {
  await using disk = await new Lamella().open(path, { writable: true });
  await disk.write(Buffer.alloc((first + STEP) * CLUSTER, 7), CLUSTERS * CLUSTER);
};

const byQemu: Fill = async (path, first) => {
  const write = `write -q -P 7 ${CLUSTERS * CLUSTER} ${(first + STEP) * CLUSTER}`;
  execFileSync('qemu-io', ['-f', 'qed', '-c', write, path]);
};

/** Clusters that the file has grown by, for 0, 100, 200, … clusters written into a fresh copy. */
async function growth(image: string, fill: Fill): Promise<number[]> {
  const copy = `${image}.copy`;
  const { size: before } = await stat(image);
  const points = [0];
  for (let step = 0; step < STEPS; step += 1) {
    copyFileSync(image, copy);
    await fill(copy, step * STEP);
    points.push(Math.round(((await stat(copy)).size - before) / CLUSTER));
  }
  return points;
}

function line(points: readonly number[], colour: string): string {
  const path = points.map((y, i) => `${60 + i * 60},${320 - y * 0.35}`).join(' ');
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`;
}

function label(x: number, y: number, text: string, rest = ''): string {
  return `<text x="${x}" y="${y}" font-family="sans-serif" font-size="12"${rest}>${text}</text>`;
}

function draw(library: readonly number[], qemu: readonly number[]): string {
  const ticks = library.map((_, i) =>
    label(60 + i * 60, 338, String(i * STEP), ' text-anchor="middle"'),
  );
  const rows = [0, 200, 400, 600, 800].map((y) =>
    label(52, 324 - y * 0.35, String(y), ' text-anchor="end"'),
  );
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="380" viewBox="0 0 600 380">',
    '<title>How a QED file grows when half of its clusters are reused</title>',
    '<rect width="600" height="380" fill="white"/>',
    '<path d="M60 30V320H560" fill="none" stroke="black"/>',
    line(library, '#0a6'),
    line(qemu, '#c30'),
    label(330, 290, 'Lamella', ' fill="#0a6"'),
    label(250, 170, 'QEMU', ' fill="#c30"'),
    label(60, 20, 'Growth of the file, clusters; 500 leaked clusters were found by the repair'),
    label(560, 360, 'clusters written', ' text-anchor="end"'),
    ...ticks,
    ...rows,
    '</svg>\n',
  ].join('\n');
}

const folder = await mkdtemp(join(tmpdir(), 'lamella-growth-'));
try {
  const image = join(folder, 'half.qed');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qed', image, '1G']);
  execFileSync('qemu-io', ['-f', 'qed', '-c', `write -q -P 5 0 ${CLUSTERS * CLUSTER}`, image]);
  await leakHalf(image);
  const library = await growth(image, byLibrary);
  const qemu = await growth(image, byQemu);
  console.log(`clusters written: ${library.map((_, i) => i * STEP).join(' ')}`);
  console.log(`grown by Lamella: ${library.join(' ')}`);
  console.log(`grown by QEMU:    ${qemu.join(' ')}`);
  const target = new URL('../../docs/figures/qed-growth.svg', import.meta.url);
  await writeFile(target, draw(library, qemu));
} finally {
  await rm(folder, { recursive: true });
}
