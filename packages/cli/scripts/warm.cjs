'use strict';
// Runs a bundle once over a small image, so that V8 compiles what most runs need, and keeps the result.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { evaluate } = require('../bin/launch.cjs');

const COMMANDS = {
  img: [
    'create -f qcow2 a.qcow2 1M',
    'info a.qcow2',
    'map a.qcow2',
    'convert -f raw -O qcow2 a.raw b.qcow2',
    'convert -f qcow2 -O raw b.qcow2 b.raw',
    'convert -c -f qcow2 -O qcow2 b.qcow2 c.qcow2',
    'convert -f qcow2 -O raw c.qcow2 c.raw',
  ],
  io: ['-f raw -c length -c map a.raw'],
  people: ['create -f qcow2 a.qcow2 1M', 'info --chain a.qcow2', 'map a.qcow2'],
};

const [, , file] = process.argv;
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'lamella-warm-'));
process.chdir(directory);
fs.writeFileSync('a.raw', Buffer.alloc(1024 * 1024, 1));

async function warm() {
  const { script, exports } = evaluate(file, fs.readFileSync(file, 'latin1'), undefined);
  for (const command of COMMANDS[path.basename(file, '.cjs')]) {
    await exports.run(['node', 'lamella', ...command.split(' ')], []);
  }
  fs.writeFileSync(`${file}.cache`, script.createCachedData());
}

warm().finally(() => fs.rmSync(directory, { recursive: true }));
