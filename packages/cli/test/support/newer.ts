import { statSync } from 'node:fs';
import { join } from 'node:path';
import { formatSize } from '#internal/command-line/size.js';
import type { Outcome } from './in-process.js';

/**
 * What the current qemu-img would print where 7.2 printed something else: the differences that are known,
 * by their number in the compatibility notes, and nothing beyond them.
 */
export function asNewer(outcome: Outcome, words: readonly string[], directory: string): Outcome {
  const first = words[0] ?? '';
  const command = first.startsWith('-') ? '' : first;
  const json = words.some(
    (word, index) =>
      word === '--output=json' || (words[index - 1] === '--output' && word === 'json'),
  );
  let { stdout, stderr } = outcome;
  if (command === 'info' && outcome.code === 0) {
    stdout = json ? withJsonChildren(stdout, directory) : withChildren(stdout, directory);
  }
  stdout = snapshotTables(stdout).replace(KEEP_DATA_FILE_BEFORE, `${KEEP_DATA_FILE}$&`);
  stderr = withCommandInHint(stderr, command);
  for (const [pattern, replacement] of MESSAGES) {
    stderr = stderr.replace(pattern, replacement);
  }
  const form = /--output[= ](\S+)/.exec(words.join(' '))?.[1] ?? '';
  stderr = stderr.replace('\u0000', form);
  return { ...outcome, stdout, stderr: sizeMessages(stderr, command, words) };
}

/** Note 1. */
function withChildren(text: string, directory: string): string {
  const luks = text.replace(/^( +)ivgen alg: .*\n/gm, '$&$1detached header: false\n');
  return luks
    .split('\n\n')
    .map((section) => {
      const filename = plainName(/^image: (.*)$/m.exec(section)?.[1] ?? '');
      const { length, allocated } = spaceOf(directory, filename);
      const body = section.endsWith('\n') ? section : `${section}\n`;
      return (
        `${body}Child node '/file':\n    filename: ${filename}\n    protocol type: file\n` +
        `    file length: ${formatSize(length)} (${length} bytes)\n    disk size: ${formatSize(allocated)}\n`
      );
    })
    .join('\n');
}

/** Note 2: the list of children comes first in each object. */
function withJsonChildren(text: string, directory: string): string {
  const detached = text.replace(/^( +)"ivgen-alg": .*\n/gm, '$&$1"detached-header": false,\n');
  return detached.replace(
    /^( *)\{\n(?= *"(?:backing-filename-format|snapshots|virtual-size)")/gm,
    (opening, indent: string, at: number) => {
      const filename = /"filename": "(.*)"/.exec(detached.slice(at))?.[1] ?? '';
      const { length, allocated } = spaceOf(directory, filename);
      const lines = [
        '"children": [',
        '    {',
        '        "name": "file",',
        '        "info": {',
        '            "children": [',
        '            ],',
        `            "virtual-size": ${length},`,
        `            "filename": "${filename}",`,
        '            "format": "file",',
        `            "actual-size": ${allocated},`,
        '            "format-specific": {',
        '                "type": "file",',
        '                "data": {',
        '                }',
        '            },',
        '            "dirty-flag": false',
        '        }',
        '    }',
        '],',
      ];
      return `${opening}${lines.map((line) => `${indent}    ${line}\n`).join('')}`;
    },
  );
}

/** The file within a `json:` name. */
function plainName(name: string): string {
  return /"filename": "([^"]*)"\}+$/.exec(name)?.[1] ?? name;
}

function spaceOf(directory: string, name: string): { length: number; allocated: number } {
  const { size, blocks } = statSync(join(directory, name));
  return { length: size, allocated: blocks * 512 };
}

/** Note 4. */
function snapshotTables(text: string): string {
  return text
    .replace(
      /^ID {8}TAG .*$/gm,
      'ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT',
    )
    .replace(
      /^(\d+) +(\S+) +(\S+ \S+) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (\d\d):(\d\d:\d\d\.\d{3}) +(\d*)$/gm,
      (
        _row,
        id: string,
        tag: string,
        size: string,
        date: string,
        hours: string,
        time: string,
        icount: string,
      ) =>
        [
          id.padEnd(7),
          tag.padEnd(16),
          size.padStart(8),
          date.padStart(19),
          `${hours.padStart(4, '0')}:${time}`.padStart(15),
          icount.padStart(10),
        ].join(' '),
    );
}

/** Note 5: stands where the names are in order. */
const KEEP_DATA_FILE =
  '  keep_data_file=<bool (on/off)> - Assume the external data file already exists and do not overwrite it\n';
const KEEP_DATA_FILE_BEFORE = /^ {2}lazy_refcounts=<bool(?=[\s\S]*(?:preallocation|encryption)=)/m;

/** Note 9: the hint names the command. */
function withCommandInHint(text: string, command: string): string {
  const known = /^[a-z]+$/.test(command) && !text.includes('Command not found');
  return known ? text.replace("Try 'qemu-img --help'", `Try 'qemu-img ${command} --help'`) : text;
}

const MESSAGES: readonly (readonly [RegExp, string])[] = [
  // Note 9.
  [
    /^(qemu-img: )--output must be used with human or json as argument\.$/m,
    "$1--output expects 'human' or 'json', not '\u0000'",
  ],
  // Note 10.
  [/^(qemu-img: Could not create snapshot '.*': )-\d+ \((.*)\)$/m, '$1$2'],
];

const SUFFIXES =
  'Invalid image size specified. You may use k, M, G, T, P or E suffixes for\n' +
  'qemu-img: kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.\n';

/** Notes 8 and 9. */
function sizeMessages(text: string, command: string, words: readonly string[]): string {
  const size = sizeWord(words);
  let result = text;
  if (result.includes(SUFFIXES)) {
    const negative = /^-\d/.test(size);
    result = result.replace(
      SUFFIXES,
      negative
        ? 'Invalid image size specified. Must be between 0 and 9223372036854775807.\n'
        : `Invalid image size specified: '${size}'\n`,
    );
  }
  if (command === 'resize') {
    result = result
      .replace(/^qemu-img: Not enough arguments$/m, 'qemu-img: Expecting image file name and size')
      .replace(
        /^qemu-img: Parameter 'size' expects a non-negative number below 2\^64\nOptional suffix .*\nand exabytes, respectively\.$/m,
        `qemu-img: Invalid image size specified: '${size.replace(/^[-+]/, '')}'`,
      );
  }
  const listed = /size=(-[^, ]*)/.exec(words.join(' '))?.[1];
  if (listed !== undefined) {
    result = result.replace(
      /Parameter 'size' expects a non-negative number below 2\^64\nOptional suffix .*\nand exabytes, respectively\.$/m,
      `Value '${listed}' is out of range for parameter 'size'`,
    );
  }
  return result;
}

const TAKES_VALUE = /^-[fFobBOStTlmrgcdsi]$|^--(object|format|preallocation)$/;

/** The word that is a size: the value of `--size`, or the second operand. */
function sizeWord(words: readonly string[]): string {
  const given = words.indexOf('--size');
  if (given >= 0) {
    return words[given + 1] ?? '';
  }
  const operands = words.filter((word, index) => {
    const before = words[index - 1] ?? '';
    return !/^-[a-zA-Z-]/.test(word) && !TAKES_VALUE.test(before);
  });
  return operands[2] ?? '';
}
