'use strict';
// Starts a program: from its bundle with the code that V8 compiled when it was built, which takes a fraction
// of the time; or from the modules themselves where drivers of third parties have to share them.
const fs = require('node:fs');
const path = require('node:path');

/** Reads that miss the page cache, writes and compression run on this pool. */
process.env.UV_THREADPOOL_SIZE ??= '16';

const DIST = path.join(__dirname, '..', 'dist');

exports.launch = (program) => {
  const drivers = projectDrivers(process.cwd());
  const asked = process.argv.some((word) => word === '--driver' || word.startsWith('--driver='));
  const bundled = drivers.length === 0 && !asked && loadBundle(program);
  const loaded = bundled ? Promise.resolve(bundled) : import(`../dist/${program}/index.js`);
  loaded
    .then(({ run }) => run(process.argv, drivers))
    .catch((error) => {
      console.error(`${path.basename(process.argv[1])}: ${error.message ?? error}`);
      process.exitCode = 1;
    });
};

/** The drivers that the nearest package.json wants: `"lamella": { "drivers": ["PACKAGE", …] }`. */
function projectDrivers(directory) {
  let text;
  try {
    text = fs.readFileSync(path.join(directory, 'package.json'), 'utf8');
  } catch {
    const parent = path.dirname(directory);
    return parent === directory ? [] : projectDrivers(parent);
  }
  if (!text.includes('"lamella"')) {
    return [];
  }
  const drivers = JSON.parse(text).lamella?.drivers;
  return Array.isArray(drivers) ? drivers.map(String) : [];
}

/** The bundle's exports, or undefined where it was not built. */
function loadBundle(program) {
  const file = path.join(DIST, 'bundle', `${program}.cjs`);
  let source;
  let cachedData;
  try {
    // Only ASCII is in it, and Latin-1 is read without a look at every byte.
    source = fs.readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
  try {
    cachedData = fs.readFileSync(`${file}.cache`);
  } catch {
    // Compiled anew, then.
  }
  return evaluate(file, source, cachedData).exports;
}

/** Runs a bundle; a cache that was made by another V8 is passed over. */
function evaluate(file, source, cachedData) {
  const { Script } = require('node:vm');
  const script = new Script(`(function(require,module,exports,__filename){${source}\n})`, {
    filename: file,
    cachedData,
  });
  const module = { exports: {} };
  script.runInThisContext()(
    require('node:module').createRequire(file),
    module,
    module.exports,
    file,
  );
  return { script, exports: module.exports };
}

exports.evaluate = evaluate;
