/**
 * Colours that people with any kind of colour blindness can tell apart (Okabe and Ito), with enough contrast
 * to the light and to the dark background. Layers take them in turn.
 */
const LAYER_COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#b8a800'];

/** The same, bright enough for a dark background. */
const DARK_COLOURS = ['#2f8fe0', '#f0a81e', '#12b886', '#dd8fbb', '#9ad6ff', '#d6c62a'];

/** How many layers have colours of their own. */
export const PALETTE_SIZE = LAYER_COLOURS.length;

/** Vermilion: nothing else has it. */
const MISSING = '#d55e00';

/** The class of a layer's colour. */
export function layerClass(layer: number): string {
  return `l${layer % PALETTE_SIZE}`;
}

/** The style sheet of a picture: for light surroundings, and for dark ones where the viewer says so. */
export function styleSheet(): string {
  const fills = (colours: readonly string[]): string =>
    colours.map((colour, index) => `.l${index}{fill:${colour}}`).join('');
  return (
    `text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1b1f24}` +
    `.bg{fill:#fff}.track{fill:#eef0f2}.grid{stroke:#c9ced4;stroke-width:1}.faint{fill:#5a636d}` +
    `.edge{fill:none;stroke:#8a939d;stroke-width:1}.title{font-weight:700;font-size:18px}` +
    `.title,.name,.label{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace}` +
    `.name{font-weight:600;font-size:13px}.small{font-size:12.5px}.label{font-size:12px}` +
    `.zero{fill:#8a939d}.zerobg{fill:#d7dbe0}.stripe{fill:#fff;fill-opacity:.62}` +
    `.dot{fill:#000;fill-opacity:.55}.missing{fill:${MISSING}}` +
    `.thin{fill-opacity:.36}.hidden{opacity:.32}.over{stroke:#fff;stroke-width:5px;paint-order:stroke}.hit{fill:transparent}.hit:hover{fill:#000;fill-opacity:.18}` +
    fills(LAYER_COLOURS) +
    `@media(prefers-color-scheme:dark){text{fill:#e6e9ec}.bg{fill:#14171a}.track{fill:#23282e}` +
    `.grid{stroke:#3d444c}.faint{fill:#a3acb6}.edge{stroke:#737c86}.zero{fill:#78818b}` +
    `.zerobg{fill:#3a4149}.stripe{fill:#14171a}.hidden{opacity:.4}.thin{fill-opacity:.45}` +
    `.over{stroke:#14171a}.hit:hover{fill:#fff;fill-opacity:.22}${fills(DARK_COLOURS)}}`
  );
}
