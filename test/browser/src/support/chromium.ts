import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

function findChromium(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

const executablePath = findChromium();

/** Skips a test visibly where Chromium is missing, unless it is required. */
export const skipWithoutChromium =
  executablePath !== undefined || process.env.LAMELLA_REQUIRE_CHROMIUM === '1'
    ? {}
    : { skip: 'Chromium is not installed' };

/** A headless browser that reaches nothing but files and this machine. */
export async function launchChromium(): Promise<Browser> {
  if (executablePath === undefined) {
    throw new Error(`None of ${NAMES.join(', ')} is in PATH`);
  }
  return await puppeteer.launch({
    executablePath,
    // CI runs as root, where Chromium's sandbox is not to be had; shared memory is small in containers.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}
