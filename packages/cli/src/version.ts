/** Version of the package, shown by `--version`. */
export const VERSION = '0.1.0';
