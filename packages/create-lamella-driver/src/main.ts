#!/usr/bin/env node
import { HELP, readArguments } from './arguments.js';
import { askForPlan } from './ask.js';
import { defaultPlan } from './plan.js';
import { ScaffoldError, scaffold } from './scaffold.js';

const USAGE_ERROR = 2;

async function main(): Promise<number> {
  const given = readArguments(process.argv.slice(2));
  if (given.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const silent = given.yes || !process.stdin.isTTY;
  if (silent && given.format === undefined) {
    process.stderr.write(`Which format? Give its name.\n\n${HELP}`);
    return USAGE_ERROR;
  }
  const plan = silent
    ? { ...defaultPlan(given.format ?? ''), ...given.given }
    : await askForPlan(given);
  if (plan === undefined) {
    return 1;
  }
  const files = await scaffold(plan);
  process.stdout.write(
    `Made ${files.length} files in ${plan.folder}. Next:\n\n  cd ${plan.folder}\n  npm install\n  npm test\n  npm run docs\n`,
  );
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const expected = error instanceof ScaffoldError || error instanceof TypeError;
  process.stderr.write(`${expected ? error.message : String(error)}\n`);
  process.exitCode = USAGE_ERROR;
}
