/** What `qemu-img map --output=json` does, for the comparison with start-up: `node list-extents.js FILE`. */
import { Lamella } from 'lamella';

const [file = ''] = process.argv.slice(2);
const rows: string[] = [];
await using disk = await new Lamella().open(file, { format: 'raw' });
for await (const { offset, length, kind, hostOffset } of disk.extents()) {
  const zero = kind === 'zero';
  rows.push(JSON.stringify({ start: offset, length, zero, data: !zero, offset: hostOffset }));
}
process.stdout.write(`[${rows.join(',\n')}]\n`);
