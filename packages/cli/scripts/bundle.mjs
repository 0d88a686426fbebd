// Makes one file of each program, and beside it what V8 compiled of it after a first run.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PROGRAMS = ['img', 'io', 'people'];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

for (const program of PROGRAMS) {
  const outfile = here(`../dist/bundle/${program}.cjs`);
  await build({
    entryPoints: [here(`../dist/${program}/index.js`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    charset: 'ascii',
    minify: true,
    external: ['koffi', '@toondepauw/node-zstd'],
    define: { 'import.meta.url': 'bundleUrl' },
    banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
  });
  execFileSync(process.execPath, [here('warm.cjs'), outfile], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
