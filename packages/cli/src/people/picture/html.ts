import { createHash } from 'node:crypto';
import { readableSize } from '../terminal/sizes.js';
import { KINDS } from './extent-kind.js';
import { escapeMarkup } from './markup.js';
import type { Picture, PictureLayer } from './picture.js';
import { drawSvg } from './svg.js';
import { hiddenBytes } from './totals.js';

/** Shows the text of an area beside the pointer; without it the browser shows it after a while. */
const SCRIPT = `
const tip = document.getElementById('tip');
for (const area of document.querySelectorAll('.hit')) {
  const title = area.querySelector('title');
  area.tip = title.textContent;
  area.setAttribute('aria-label', area.tip);
  title.remove();
}
document.addEventListener('pointermove', (event) => {
  const text = event.target.tip;
  tip.hidden = text === undefined;
  if (text === undefined) return;
  tip.textContent = text;
  const room = document.documentElement;
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, room.clientWidth - tip.offsetWidth - 8)) + 'px';
  const below = event.clientY + 18;
  tip.style.top = (below + tip.offsetHeight > room.clientHeight ? event.clientY - tip.offsetHeight - 10 : below) + 'px';
});
document.addEventListener('pointerleave', () => { tip.hidden = true; });
`;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
body { margin: 0; padding: 20px; background: #f4f5f7; color: #1b1f24; }
main { max-width: 1400px; margin: auto; }
svg { width: 100%; height: auto; display: block; border-radius: 8px; box-shadow: 0 1px 4px #0003; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 20px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: right; border-bottom: 1px solid #c9ced4; white-space: nowrap; }
th:nth-child(2), td:nth-child(2), th:nth-child(3), td:nth-child(3) { text-align: left; }
td:nth-child(2) { white-space: normal; overflow-wrap: anywhere; min-width: 14em; }
th { font-weight: 600; }
#tip { position: fixed; z-index: 1; max-width: min(90vw, 60em); padding: 7px 10px; border-radius: 6px; background: #1b1f24; color: #fff;
  font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; pointer-events: none; }
#tip[hidden] { display: none; }
@media (prefers-color-scheme: dark) {
  body { background: #0c0e10; color: #e6e9ec; }
  th, td { border-color: #3d444c; }
  #tip { background: #e6e9ec; color: #14171a; }
}
`;

/**
 * The picture as an HTML page of its own: nothing is loaded from anywhere, and no script runs but the one
 * that shows texts.
 */
export function drawHtml(picture: Picture): string {
  const digest = createHash('sha256').update(SCRIPT).digest('base64');
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${digest}'`;
  return (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n' +
    `<meta http-equiv="Content-Security-Policy" content="${escapeMarkup(policy)}">\n` +
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n' +
    `<title>${escapeMarkup(picture.title)}: where the data are</title>\n<style>${STYLE}</style>\n</head>\n` +
    `<body>\n<main>\n${drawSvg(picture)}<div class="scroll">\n${table(picture)}</div>\n</main>\n` +
    `<div id="tip" role="status" hidden></div>\n<script>${SCRIPT}</script>\n</body>\n</html>\n`
  );
}

const HEADINGS = [
  'layer',
  'file',
  'format',
  'disk',
  'on disk',
  'data',
  'compressed',
  'encrypted',
  'zeroes',
  'hidden',
];

function table(picture: Picture): string {
  const rows = picture.layers.map((layer) => cells(picture, layer));
  const missing =
    picture.missing === undefined
      ? []
      : [['–', `${picture.missing} (missing)`, ...HEADINGS.slice(2).map(() => '')]];
  const head = HEADINGS.map((heading) => `<th scope="col">${heading}</th>`).join('');
  const body = [...rows, ...missing]
    .map((row) => `<tr>${row.map((cell) => `<td>${escapeMarkup(cell)}</td>`).join('')}</tr>\n`)
    .join('');
  return `<table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body}</tbody>\n</table>\n`;
}

function cells(picture: Picture, layer: PictureLayer): readonly string[] {
  const { number, location, dataFile, format, size, allocated, own } = layer;
  return [
    String(number),
    dataFile === undefined ? location : `${location}, data in ${dataFile}`,
    format,
    readableSize(size),
    allocated === undefined ? '' : readableSize(allocated),
    ...KINDS.slice(0, 4).map((kind) => readableSize(own.total(undefined, kind))),
    readableSize(hiddenBytes(picture, layer)),
  ];
}
