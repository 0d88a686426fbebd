// Makes one file of each program, and beside it what V8 compiled of it after a first run.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PROGRAMS = ['img', 'io', 'people'];
/** Parts of Node.js that take milliseconds to load and that most runs never use. */
const SELDOM_USED = /^node:(crypto|zlib)$/;
/** What is asked for though the Node.js that bundles may not have it. */
const NEWER_EXPORTS = ['zstdCompress', 'zstdDecompress'];

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Loads the parts that are seldom used when something of them is used for the first time. */
const loadLate = {
  name: 'load-late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: SELDOM_USED }, ({ path, namespace }) =>
      namespace === 'late' ? { path, external: true } : { path, namespace: 'late' },
    );
    onLoad({ filter: SELDOM_USED, namespace: 'late' }, ({ path }) => {
      const names = [...Object.keys(createRequire(import.meta.url)(path)), ...NEWER_EXPORTS];
      const getters = names.map((name) => `get ${name}() { return require('${path}').${name}; }`);
      return { contents: `module.exports = { ${getters.join(', ')} };` };
    });
  },
};

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
    plugins: [loadLate],
    logLevel: 'warning',
  });
  execFileSync(process.execPath, [here('warm.cjs'), outfile], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
