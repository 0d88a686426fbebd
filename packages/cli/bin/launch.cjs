'use strict';
// Starts a program: from its bundle with the code that V8 compiled when it was built, which takes a fraction
// of the time; or from the modules themselves where drivers of third parties have to share them.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const DIST = path.join(__dirname, '..', 'dist');
const MOST_THREADS = 16;

exports.launch = (program) => {
  process.env.UV_THREADPOOL_SIZE ??= String(threadsFor(program));
  start(program).catch((error) => {
    console.error(`${path.basename(process.argv[1])}: ${error.message ?? error}`);
    process.exitCode = 1;
  });
};

/**
 * Threads of the pool on which reads that miss the page cache, writes and compression run. Whoever issues
 * many requests at once wants them all at the device. Everybody else has few large ones, or has the
 * processors work: with more threads than those, threads mostly wake and displace each other, which made
 * conversion of compressed images a quarter slower.
 */
function threadsFor(program) {
  if (program === 'io' || process.argv[2] === 'bench') {
    return MOST_THREADS;
  }
  return Math.min(MOST_THREADS, Math.max(3, os.availableParallelism() + 1));
}

async function start(program) {
  const drivers = projectDrivers(process.cwd());
  const asked = process.argv.some((word) => word === '--driver' || word.startsWith('--driver='));
  const bundled = drivers.length === 0 && !asked && loadBundle(program);
  const { run } = bundled || (await import(`../dist/${program}/index.js`));
  await run(process.argv, drivers);
  if (program !== 'io') {
    // All is written and closed. Otherwise V8 would go on compiling for a while, and tear down its heap.
    process.exit();
  }
}

/** The drivers that the nearest package.json wants: `"lamella": { "drivers": ["PACKAGE", …] }`. */
function projectDrivers(directory) {
  const file = path.join(directory, 'package.json');
  let text;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch {
    const parent = path.dirname(directory);
    return parent === directory ? [] : projectDrivers(parent);
  }
  if (!text.includes('"lamella"')) {
    return [];
  }
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: this is not valid JSON: ${error.message}`);
  }
  const settings = manifest?.lamella;
  if (settings === undefined) {
    return [];
  }
  const drivers = settings?.drivers ?? [];
  if (!isObject(settings) || !Array.isArray(drivers) || !drivers.every(isName)) {
    throw new Error(
      `${file}: "lamella.drivers" is not a list of packages. ` +
        'Write "lamella": { "drivers": ["NAME", "./PATH"] }.',
    );
  }
  return drivers.map((name) => (name.startsWith('.') ? path.resolve(directory, name) : name));
}

const isName = (name) => typeof name === 'string' && name !== '';
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

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
